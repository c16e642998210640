// What clients have in the end: every blob, whole or the part they asked for, wherever it comes from.
import { strict as assert } from 'node:assert';
import { assertNoFailure, has, LARGE, type LayerCase, MIDDLE, type Pushed, pushed, SMALL } from './layer-case.js';
import { locationOf } from './layer-exchange.js';

/** How many requests are at work at once, over a quarter as many blobs. */
const AT_ONCE = 32;

/** Clients who go away, and as many who stay. */
const LEAVING = 15;

/** What clients send, or do not, of which no handler should take notice that it was not told to take. */
const ODD_HEADERS: readonly Readonly<Record<string, string>>[] = [
  {},
  { 'User-Agent': '' },
  { 'User-Agent': 'x'.repeat(4_000) },
  { 'User-Agent': 'caf\u00e9/1.0 (\u00fc)' },
  { 'User-Agent': 'undefined', Accept: '', 'Accept-Encoding': 'gzip, br;q=0.5', TE: 'trailers' },
  { 'X-Forwarded-For': 'unknown', 'X-Real-IP': 'nobody' },
  { 'X-Forwarded-For': `${'9'.repeat(400)}, 203.0.113.7`, Via: '1.1 nowhere', Forwarded: 'for="[2001:db8::1]";by=_x' },
  { 'X-Forwarded-For': '"><x', Referer: 'http://a b/', Cookie: 'a=b; __proto__=c', Constructor: 'x' },
];

export const bytesCases: readonly LayerCase[] = [
  ['GET: a small blob is had whole', async (at) => has(at, await pushed(at, SMALL))],
  ['GET: an empty blob is had whole', async (at) => has(at, await pushed(at, 0))],
  ['GET: a large blob is had whole', async (at) => has(at, await pushed(at, LARGE))],
  [
    'GET: a large blob does not pass through the registry, where the handler offloads',
    async (at) => {
      if (at.setup.offloads === false) return;
      const { digest } = await pushed(at, LARGE);
      await at.ask(digest);
      assertNoFailure(at);
      const answer = at.observation.asked.at(-1)?.answer ?? undefined;
      assert.ok(answer !== undefined, 'the handler leaves it to the registry; if it may, say offloads: false');
    },
  ],
  [
    'GET: the same blob is had again, and again',
    async (at) => {
      const blob = await pushed(at, MIDDLE);
      for (let round = 0; round < 3; round++) await has(at, blob);
    },
  ],
  [
    'GET: a range of bytes is had: from the start, from the middle, to the end',
    async (at) => {
      const blob = await pushed(at, LARGE);
      const ranges: Readonly<Record<string, Buffer>> = {
        'bytes=0-9': blob.bytes.subarray(0, 10),
        'bytes=1000000-1000000': blob.bytes.subarray(1_000_000, 1_000_001),
        'bytes=1200000-': blob.bytes.subarray(1_200_000),
        'bytes=-7': blob.bytes.subarray(-7),
      };
      for (const [Range, expected] of Object.entries(ranges)) await has(at, blob, { headers: { Range } }, expected);
    },
  ],
  [
    'HEAD: tells the size of a blob, without a byte of it',
    async (at) => {
      for (const size of [SMALL, LARGE]) {
        const blob = await pushed(at, size);
        // The answer to one method must not be that to the other, in either order.
        await has(at, blob, { method: 'HEAD' });
        await has(at, blob);
        await has(at, blob, { method: 'HEAD' });
      }
    },
  ],
  [
    'at once: each of many requests is answered its own blob',
    async (at) => {
      const blobs = await Promise.all(Array.from({ length: AT_ONCE / 4 }, () => pushed(at, MIDDLE)));
      const rounds = Array.from({ length: 4 }, (_, round) => {
        const method = round === 3 ? 'HEAD' : 'GET';
        return blobs.map((blob) => has(at, blob, { method }));
      });
      await Promise.all(rounds.flat());
      await has(at, blobs[0] as Pushed);
      const replies = await Promise.all(blobs.map(({ digest }) => at.ask(digest)));
      const locations = replies.map(locationOf).filter((location) => location !== undefined);
      assert.equal(new Set(locations).size, locations.length, 'two blobs are answered one place');
    },
  ],
  [
    'at once: clients who go away before they are answered harm nobody',
    async (at) => {
      const blob = await pushed(at, MIDDLE);
      const leaving = Array.from({ length: LEAVING }, (_, turns) => at.leave(blob.digest, turns));
      const staying = Array.from({ length: LEAVING }, () => at.pull(blob.digest));
      const replies = await Promise.all([...staying, ...leaving]);
      for (const reply of replies) assert.ok(!reply || blob.bytes.equals(reply.body), 'who stays has not got the blob');
      // What the handler threw to those who are gone nobody has heard.
      at.observation.asked.length = 0;
      await has(at, blob);
      const complaints = at.log.filter(({ level, message }) => level === 'error' || /layer handler/.test(message));
      assert.deepEqual(complaints, [], 'somebody complains of clients who go away');
    },
  ],
  [
    'clients: whatever headers they send, or lack, they have the blob',
    async (at) => {
      const blob = await pushed(at, MIDDLE);
      for (const headers of ODD_HEADERS) await has(at, blob, { headers });
    },
  ],
];
