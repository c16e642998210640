// What a process costs, from Linux' `/proc`.
import { readFile } from 'node:fs/promises';

/** Linux counts CPU time in hundredths of a second for whoever reads `/proc`. */
const TICKS_PER_SECOND = 100;

/** CPU time of all threads so far, in user and in kernel mode. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The name, second and in parentheses, may contain anything; user and system time are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Millions of bytes: `VmRSS` is the present resident set, `VmHWM` the largest there has been. */
export async function residentMb(pid: number, field: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kib = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kib === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return (Number(kib) * 1024) / 1e6;
}
