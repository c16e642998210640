// What holds past 4 and 5 GiB, where offsets outgrow 32 bits and object stores their single requests.
import { strict as assert } from 'node:assert';
import { type Case, content, inPieces, readAll, sameBytes } from './storage-case.js';

const CHUNK = Buffer.alloc(8 * 1024 * 1024);
const CHUNKS = 641;
const ZEROS = CHUNK.length * CHUNKS;
const TAIL = content(100_000);

async function* zeros(): AsyncGenerator<Uint8Array, void, undefined> {
  for (let index = 0; index < CHUNKS; index++) yield CHUNK;
}

export const largeCases: readonly Case[] = [
  [
    'large: an object of more than 5 GiB is appended, committed, and read from any offset',
    async (driver, at) => {
      assert.equal(await driver.append(at('u/data'), 0, zeros()), ZEROS);
      assert.equal(await driver.append(at('u/data'), ZEROS, inPieces(TAIL)), ZEROS + TAIL.length);
      await driver.commit(at('u/data'), at('b/data'));
      assert.equal((await driver.stat(at('b/data'))).size, ZEROS + TAIL.length);
      sameBytes(
        await readAll(driver, at('b/data'), ZEROS - 10, ZEROS + 9),
        Buffer.concat([Buffer.alloc(10), TAIL.subarray(0, 10)]),
      );
      sameBytes(await readAll(driver, at('b/data'), ZEROS), TAIL);
    },
  ],
];
