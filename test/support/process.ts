// Other programs as child processes: servers that are started, awaited and stopped, and commands that
// run to their end. None outlives the test file that started it.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { atExit } from './at-exit.js';
import { journal } from './log-journal.js';

export interface StartOptions {
  /**
   * When the program can be used: something that it writes to stdout or stderr, or a TCP port of
   * 127.0.0.1 at which it accepts connections.
   */
  readonly ready: RegExp | { readonly port: number };
  readonly cwd?: string;
  /** Besides the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long it may take to become ready, in milliseconds. Default: 30 seconds. */
  readonly timeout?: number;
}

/** How a process ended: one of the two is set. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A started program. */
export interface RunningProcess {
  readonly pid: number;
  /** What the expression `ready` matched, with its groups. */
  readonly match: RegExpExecArray | undefined;
  /** Everything that it has written so far. */
  output(): string;
  /** Waits until it ends by itself. */
  exit(): Promise<Exit>;
  /** Ends it by `signal` (`SIGTERM`), or by `SIGKILL` where that does not do within five seconds. May be repeated. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const STOP_GRACE = 5_000;
const PORT_POLL = 20;

const live = new Set<ChildProcess>();

atExit(() => {
  for (const child of live) child.kill('SIGKILL');
});

/**
 * Starts a program and waits until it is ready.
 *
 * @throws Error with its output, when it ends or the time is up before.
 */
export async function startProcess(
  command: string,
  args: readonly string[],
  { ready, cwd, env, timeout = 30_000 }: StartOptions,
): Promise<RunningProcess> {
  const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = collectOutput(child);
  const exited = watch(child);
  const patience = new AbortController();
  try {
    const match = await Promise.race([
      ready instanceof RegExp ? output.waitFor(ready) : waitForPort(ready.port, patience.signal),
      exited.then(({ code, signal }) => Promise.reject(new Error(`ended with ${code ?? signal} before it was ready`))),
      delay(timeout, undefined, { signal: patience.signal }).then(() =>
        Promise.reject(new Error(`was not ready after ${timeout} ms`)),
      ),
    ]);
    letGo(child);
    return running(child, match, output.text, exited);
  } catch (cause) {
    child.kill('SIGKILL');
    await output.closed;
    throw new Error(`${command} ${(cause as Error).message}\n${output.text()}`, { cause });
  } finally {
    patience.abort();
  }
}

function running(
  child: ChildProcess,
  match: RegExpExecArray | undefined,
  output: () => string,
  exited: Promise<Exit>,
): RunningProcess {
  const exit = () => {
    if (live.has(child)) child.ref();
    return exited;
  };
  const stop = async (signal: NodeJS.Signals = 'SIGTERM') => {
    child.kill(signal);
    const last = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE);
    await exit();
    clearTimeout(last);
  };
  return { pid: child.pid ?? 0, match, output, exit, stop };
}

/** A child that nobody stops must not keep the test file from ending, which then ends the child. */
function letGo(child: ChildProcess): void {
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as Socket | null)?.unref();
}

function watch(child: ChildProcess): Promise<Exit> {
  live.add(child);
  const exited = once(child, 'exit').then(([code, signal]): Exit => ({ code, signal }));
  // A program that cannot be started reports it to whoever waits for it to be ready.
  exited.catch(() => {}).finally(() => live.delete(child));
  return exited;
}

function collectOutput(child: ChildProcess) {
  let text = '';
  let notice = () => {};
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      journal(chunk);
      notice();
    });
  }
  const waitFor = (expression: RegExp) =>
    new Promise<RegExpExecArray>((resolve) => {
      notice = () => {
        const match = expression.exec(text);
        if (match !== null) resolve(match);
      };
    });
  // A grandchild may hold the pipes open: what it would still write is not waited for.
  const closed = Promise.race([
    once(child, 'close').catch(() => {}),
    once(child, 'exit').then(
      () => delay(500, undefined, { ref: false }),
      () => {},
    ),
  ]);
  return { text: () => text, waitFor, closed };
}

async function waitForPort(port: number, signal: AbortSignal): Promise<undefined> {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect', { signal });
      return;
    } catch {
      await delay(PORT_POLL, undefined, { signal });
    } finally {
      socket.destroy();
    }
  }
}

export interface RunOptions {
  readonly cwd?: string;
  /** Besides the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** When it is killed, in milliseconds. Default: two minutes. */
  readonly timeout?: number;
}

/**
 * Runs a command to its end and answers what it wrote to stdout.
 *
 * @throws Error with what it wrote to stderr, when it fails or takes too long.
 */
export function runProcess(
  command: string,
  args: readonly string[],
  { cwd, env, timeout = 120_000 }: RunOptions = {},
): Promise<string> {
  const options = {
    cwd,
    env: { ...process.env, ...env },
    timeout,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
  } as const;
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (cause, stdout, stderr) => {
      if (cause === null) resolve(stdout);
      else
        reject(
          new Error(`${command} ${args.join(' ')}: ${cause.killed ? 'took too long' : stderr || cause.message}`, {
            cause,
          }),
        );
    });
  });
}
