// Waiting for a lease: until it is there, until the time is up, or until nobody wants it any more.
import { strict as assert } from 'node:assert';
import { setTimeout as delay } from 'node:timers/promises';
import { aName, type CoordinationCase, LONG, meanwhile } from './coordination-case.js';

const gone = new Error('the caller went away');
const isGone = (error: unknown) => error === gone;

export const waitingCases: readonly CoordinationCase[] = [
  [
    'acquire: whoever waits gets the name when it is given back',
    async (start) => {
      const host = await start();
      const name = aName();
      const first = await host.takes(name);
      const waiting = meanwhile(host.takes(name));
      const early = await Promise.race([waiting, delay(50)]);
      assert.equal(early, undefined, 'two have the lease');
      await first.release();
      await (await waiting).release();
    },
  ],
  [
    'acquire: whoever has waited in vain gets undefined, and is in nobody’s way',
    async (start) => {
      const host = await start();
      const name = aName();
      const first = await host.takes(name);
      await Promise.all([20, 50, 100].map((wait) => host.cannotTake(name, wait)));
      await first.release();
      await (await host.takes(name, { wait: 0 })).release();
    },
  ],
  [
    'acquire: a signal ends the waiting with its reason, and whoever left is in nobody’s way',
    async (start) => {
      const host = await start();
      const name = aName();
      const first = await host.takes(name);
      const controller = new AbortController();
      const leaving = host.coordinator.acquire(name, { ttl: LONG, wait: LONG, signal: controller.signal });
      const staying = meanwhile(host.takes(name));
      const rejected = meanwhile(assert.rejects(leaving, isGone));
      await delay(30);
      controller.abort(gone);
      await rejected;
      await first.release();
      await (await staying).release();
      await (await host.takes(name, { wait: 0 })).release();
    },
  ],
  [
    'acquire: a signal that is aborted already rejects with its reason, and takes nothing',
    async (start) => {
      const host = await start();
      const name = aName();
      const signal = AbortSignal.abort(gone);
      await assert.rejects(host.coordinator.acquire(name, { ttl: LONG, wait: LONG, signal }), isGone);
      await (await host.takes(name, { wait: 0 })).release();
    },
  ],
  [
    'acquire: its signal does not end the lease',
    async (start) => {
      const host = await start();
      const name = aName();
      const controller = new AbortController();
      const lease = await host.takes(name, { signal: controller.signal });
      controller.abort(gone);
      assert.equal(lease.signal.aborted, false);
      await lease.confirm();
      await host.cannotTake(name);
      await lease.release();
    },
  ],
];
