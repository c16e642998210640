// Leases: one holder at a time, tokens that grow, and what a holder may do.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { aName, assertGrowing, type CoordinationCase, takeTurns } from './coordination-case.js';

export const leaseCases: readonly CoordinationCase[] = [
  [
    'acquire: nobody else gets the name before it is given back, and then they do',
    async (start) => {
      const host = await start();
      const name = aName();
      const lease = await host.takes(name, { wait: 0 });
      await host.cannotTake(name);
      await lease.release();
      await (await host.takes(name, { wait: 0 })).release();
    },
  ],
  [
    'acquire: names do not get in each other’s way',
    async (start) => {
      const host = await start();
      const name = aName();
      const names = [name, `${name}/`, `${name}:x`, name.toUpperCase(), `{${name}}`, `}${name}{`, `é ${name}\n`, ''];
      const leases = await Promise.all(names.map((each) => host.takes(each, { wait: 0 })));
      await Promise.all(names.map((each) => host.cannotTake(each)));
      await Promise.all(leases.map((lease) => lease.release()));
    },
  ],
  [
    'acquire: each token is greater than all before it',
    async (start) => {
      const host = await start();
      const name = aName();
      const tokens: number[] = [];
      for (let round = 0; round < 10; round++) {
        const lease = await host.takes(name);
        tokens.push(lease.token);
        await lease.release();
      }
      assertGrowing(tokens);
    },
  ],
  [
    'acquire: fifty who want one name at a time have it one after the other',
    async (start) => takeTurns([await start()], 50),
  ],
  [
    'lease: goes on for longer than its time to live',
    async (start) => {
      const host = await start();
      const name = aName();
      const lease = await host.takes(name, { ttl: 600 });
      await delay(1_500);
      await host.cannotTake(name);
      await lease.confirm();
      assert.equal(lease.signal.aborted, false);
      await lease.release();
    },
  ],
  [
    'confirm: resolves while the lease is held, and rejects when it was given back',
    async (start) => {
      const host = await start();
      const lease = await host.takes(aName());
      await lease.confirm();
      await lease.confirm();
      await lease.release();
      await assert.rejects(lease.confirm(), Error, 'a lease was confirmed that was given back');
    },
  ],
  [
    'release: may be repeated, and never takes the name from whoever has it then',
    async (start) => {
      const host = await start();
      const name = aName();
      const first = await host.takes(name);
      await Promise.all([first.release(), first.release()]);
      const second = await host.takes(name, { wait: 0 });
      await first.release();
      await host.cannotTake(name);
      await second.confirm();
      await assert.rejects(first.confirm(), Error, 'the holder before is confirmed');
      await second.release();
    },
  ],
  [
    'check: resolves while leases can be had',
    async (start) => {
      const host = await start();
      await host.coordinator.check?.();
    },
  ],
];
