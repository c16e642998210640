// Programs that run together until somebody asks for their end. One that ends by itself leaves the others alone.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where servers are that not every PATH leads to. */
const PATH = [process.env.PATH, '/usr/sbin', join(homedir(), 'go', 'bin')].join(':');

export class Processes {
  /** Resolves when all have ended. */
  readonly ended: Promise<void>;
  readonly #children: ChildProcess[] = [];
  #stopped: Promise<void> | undefined;
  #end = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  get stopping(): boolean {
    return this.#stopped !== undefined;
  }

  /** Starts a program that is to run until all are stopped. What it writes goes where ours does. */
  run(program: string, args: readonly string[], settings: Readonly<Record<string, string>> = {}): void {
    if (this.stopping) return;
    const env = { ...process.env, PATH, ...settings };
    const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', ({ message }) => {
      console.error(message);
      void this.stop();
    });
    child.once('close', () => {
      if (!this.stopping) console.error(`${program} ${args.join(' ')} has ended; the others go on`);
    });
    this.#children.push(child);
  }

  /** The last one first: nobody loses what it stands on. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    for (const child of this.#children.reverse()) {
      if (child.exitCode === null && child.signalCode === null && child.kill()) await once(child, 'close');
    }
    this.#end();
  }
}

/** A port of 127.0.0.1 that nobody listens on, at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
