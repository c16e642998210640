// Keeps two processes from using one folder. Whoever wants it listens at a Unix socket of a name of its own in it,
// and then looks for others: the kernel closes the socket of a process however it ends, so no lock is ever left
// behind, and of two that come at once none can overlook the other.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';

const PREFIX = '.lock-';

/** What every system allows a socket's path to have, in bytes. */
const LONGEST = 103;

export class FolderLock {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /**
   * Takes a folder for this process, or for one of several registries in it.
   *
   * @throws Error when somebody else has it, or its path is too long for a socket.
   */
  static async take(folder: string): Promise<FolderLock> {
    const name = PREFIX + randomBytes(6).toString('hex');
    const length = Buffer.byteLength(join(folder, name));
    if (length > LONGEST) throw new Error(`${folder} is too long by ${length - LONGEST} bytes: reach it by a link`);
    const server = createServer((socket) => socket.destroy()).unref();
    // Exclusive: a worker of node:cluster listens itself, and not by its parent.
    server.listen({ path: join(folder, name), exclusive: true });
    await once(server, 'listening');
    const lock = new FolderLock(server);
    try {
      for (const other of await readdir(folder)) {
        if (other === name || !other.startsWith(PREFIX) || !(await isHeld(join(folder, other)))) continue;
        throw new Error(`${folder} is in use by another process, or by another registry of this one`);
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
    return lock;
  }

  /** Removes the socket, too. */
  async release(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Whether somebody listens. Nobody will again at a socket that is refused, so it is removed. */
async function isHeld(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ECONNREFUSED') await rm(path, { force: true });
    return code !== 'ECONNREFUSED' && code !== 'ENOENT';
  } finally {
    socket.destroy();
  }
}
