// Leases of several hosts: what keeps the requests of one host apart does so for all of them.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { aName, assertGrowing, type CoordinationCase, meanwhile, takeTurns } from './coordination-case.js';

export const sharedLeaseCases: readonly CoordinationCase[] = [
  [
    'two hosts: what one has the other does not get before it is given back',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const name = aName();
      const lease = await first.takes(name, { wait: 0 });
      await second.cannotTake(name);
      await second.cannotTake(name, 100);
      await lease.confirm();
      await lease.release();
      await (await second.takes(name, { wait: 0 })).release();
    },
  ],
  [
    'two hosts: whoever waits gets the name when the other gives it back',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const name = aName();
      const lease = await first.takes(name);
      const waiting = meanwhile(second.takes(name));
      assert.equal(await Promise.race([waiting, delay(100)]), undefined, 'two have the lease');
      await lease.release();
      await (await waiting).release();
    },
  ],
  [
    'two hosts: each token is greater than all before it, whoever has had them',
    async (start) => {
      const hosts = [await start(), await start()] as const;
      const name = aName();
      const tokens: number[] = [];
      for (const index of [0, 1, 1, 0, 0, 1] as const) {
        const lease = await hosts[index].takes(name);
        tokens.push(lease.token);
        await lease.release();
      }
      assertGrowing(tokens);
    },
  ],
  [
    'two hosts: fifty who want one name at a time have it one after the other',
    async (start) => takeTurns([await start(), await start()], 50),
  ],
  [
    'two hosts: a lease that is held outlives its time to live',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const name = aName();
      const lease = await first.takes(name, { ttl: 600 });
      await second.cannotTake(name, 1_500);
      await lease.confirm();
      await lease.release();
    },
  ],
  [
    'two hosts: giving back again does not take the name from the other',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const name = aName();
      const before = await first.takes(name);
      await before.release();
      const lease = await second.takes(name, { wait: 0 });
      await before.release();
      await first.cannotTake(name);
      await lease.confirm();
      await assert.rejects(before.confirm(), Error, 'the holder before is confirmed');
      await lease.release();
    },
  ],
  [
    'two hosts: one that closes gives back what it has',
    async (start) => {
      const [first, second] = [await start(), await start()];
      const names = [aName(), aName()];
      for (const name of names) await first.takes(name);
      await first.close();
      for (const name of names) await (await second.takes(name, { wait: 0 })).release();
    },
  ],
];
