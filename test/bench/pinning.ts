// One CPU for the server that is measured, another for the load: neither takes time from the other.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** Where the servers run, and where this process does. */
export interface Placement {
  readonly serverCpu: number;
  readonly generatorCpu: number;
}

/** The CPUs this process may use: `0-2,5` of the kernel's list is 0, 1, 2 and 5. */
function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/**
 * Pins this process, with all its threads, to the second CPU it may use, and leaves the first to the
 * servers. Where that is not possible it says why and answers `undefined`.
 */
export function pinGenerator(complain: (message: string) => void): Placement | undefined {
  try {
    const [serverCpu, generatorCpu] = allowedCpus();
    if (serverCpu === undefined || generatorCpu === undefined) throw new Error('there is only one CPU');
    allow([generatorCpu], process.pid);
    return { serverCpu, generatorCpu };
  } catch (error) {
    complain(`running unpinned: ${error instanceof Error ? error.message : error}`);
    return undefined;
  }
}

/** Lets a process, which has inherited a CPU from whoever started it, use that of the servers and the generator's. */
export function unpin(pid: number, placement: Placement | undefined): void {
  if (placement !== undefined) allow([placement.serverCpu, placement.generatorCpu], pid);
}

function allow(cpus: readonly number[], pid: number): void {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cpus.join(), String(pid)], { stdio: 'ignore' });
}

/** The command line that runs `command` on the servers' CPU. */
export function pinned(command: readonly string[], placement: Placement | undefined): readonly string[] {
  return placement === undefined ? command : ['taskset', '--cpu-list', String(placement.serverCpu), ...command];
}
