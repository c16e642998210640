// Folders whose names survive a crash of the host.
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a folder and those above it that are missing; with `durable` their names are on the disk when it resolves. */
export async function makeFolder(path: string, durable: boolean): Promise<void> {
  const topmost = await mkdir(path, { recursive: true });
  if (topmost === undefined || !durable) return;
  for (let made = path; made.length >= topmost.length; made = dirname(made)) await syncFolder(dirname(made));
}

/** Resolves when the names in a folder are on the disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
