// What holds past 4 and 5 GiB, where offsets outgrow 32 bits and object stores their single requests.
import { strict as assert } from 'node:assert';
import { type Case, content, fails, inPieces, readAll, sameBytes } from './storage-case.js';

/**
 * Grows the object at `key`, which is there, to `size` bytes by zeros, in the backend and behind the
 * driver's back: of a file system, by making the file longer without writing it.
 */
export type GrowObject = (key: string, size: number) => Promise<void>;

const CHUNK = Buffer.alloc(8 * 1024 * 1024);
const ZEROS = 641 * CHUNK.length;
const HEAD = content(100_000, 1);
const TAIL = content(100_000, 2);
/** Where the tail begins, past 5 GiB. 32 bits of it, or of any offset near 4 GiB, lead to other bytes. */
const SIZE = HEAD.length + ZEROS;

async function* zeros(): AsyncGenerator<Uint8Array, void, undefined> {
  for (let sent = 0; sent < ZEROS; sent += CHUNK.length) yield CHUNK;
}

/** @param grow saves the sending of the zeros. */
export function largeCases(grow?: GrowObject): readonly Case[] {
  return [
    [
      'large: an object of more than 5 GiB is appended, committed, and read from any offset',
      async (driver, at) => {
        await driver.append(at('u/data'), 0, inPieces(HEAD));
        if (grow !== undefined) await grow(at('u/data'), SIZE);
        else assert.equal(await driver.append(at('u/data'), HEAD.length, zeros()), SIZE);
        assert.equal((await driver.stat(at('u/data'))).size, SIZE);
        await fails('offset-conflict', driver.append(at('u/data'), SIZE - 2 ** 32, inPieces(TAIL)));
        assert.equal(await driver.append(at('u/data'), SIZE, inPieces(TAIL)), SIZE + TAIL.length);
        await driver.commit(at('u/data'), at('b/data'));
        assert.equal((await driver.stat(at('b/data'))).size, SIZE + TAIL.length);
        const read = (start: number, end?: number) => readAll(driver, at('b/data'), start, end);
        sameBytes(await read(0, HEAD.length), Buffer.concat([HEAD, Buffer.alloc(1)]));
        sameBytes(await read(2 ** 32 - 5, 2 ** 32 + 4), Buffer.alloc(10));
        sameBytes(await read(2 ** 32, 2 ** 32 + 999_999), Buffer.alloc(1_000_000));
        sameBytes(await read(SIZE - 10, SIZE + 9), Buffer.concat([Buffer.alloc(10), TAIL.subarray(0, 10)]));
        sameBytes(await read(SIZE), TAIL);
      },
    ],
  ];
}
