// Whether a process that is not our child has ended, as far as the system tells.
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const PATIENCE = 10_000;
const POLL = 10;

/**
 * Waits up to ten seconds for a process to end; answers whether it did. One that ended but was not yet
 * reaped counts: that is up to its parent. Where there is no `/proc`, everything has ended.
 */
export async function hasEnded(pid: number): Promise<boolean> {
  for (let waited = 0; waited < PATIENCE; waited += POLL) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => `${pid} () X`);
    if (/\) [ZX]/.test(stat)) return true;
    await delay(POLL);
  }
  return false;
}
