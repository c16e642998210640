// `queue/directory` and what a crash, a full disk or a bad one leaves of its files: nothing that was stored is lost
// without a word, and the queue goes on.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { promises } from 'node:fs';
import { appendFile, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type EventQueue, type Logger, type RegistryEvent, startPlugin } from 'koa-registry';
import { directory } from 'koa-registry/plugins/queue/directory';
import { suite } from 'uvu';
import { runProcess } from '../support/process.js';
import { tempFolder } from '../support/temp-folder.js';
import { CrashModel } from './crash-model.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SINK = 'webhook';

interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

interface Host {
  readonly queue: EventQueue;
  readonly lines: readonly Line[];
}

interface Settings {
  readonly fsync?: boolean;
  readonly segmentBytes?: number;
}

function recorder(lines: Line[]): Logger {
  const at = (level: string) => (fields: Line['fields']) => void lines.push({ level, fields });
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return logger;
}

/** A start of the store with its queue, and its end. */
async function within<T>(path: string, use: (host: Host) => Promise<T>, settings: Settings = {}): Promise<T> {
  const lines: Line[] = [];
  const { instance, close } = await startPlugin(directory({ path, ...settings }), { logger: recorder(lines) });
  try {
    const queue = await instance.open(SINK);
    try {
      return await use({ queue, lines });
    } finally {
      await queue.close?.();
    }
  } finally {
    await close();
  }
}

function anEvent(useragent = ''): RegistryEvent {
  return {
    id: randomUUID(),
    timestamp: new Date().toISOString(),
    action: 'push',
    target: { repository: 'team/app', tag: 'latest' },
    request: { id: randomUUID(), addr: '127.0.0.1:1', host: '127.0.0.1', method: 'PUT', useragent },
    actor: {},
    source: { addr: 'host:1', instanceID: randomUUID() },
  };
}

const events = (count: number) => Array.from({ length: count }, () => anEvent());
const idsOf = (list: readonly RegistryEvent[]) => list.map(({ id }) => id);

async function take(queue: EventQueue, count: number): Promise<RegistryEvent[]> {
  const first = await queue.peek(count);
  await queue.remove(first);
  return first.map(({ event }) => event);
}

async function drain(queue: EventQueue): Promise<string[]> {
  const found: string[] = [];
  for (let first = await take(queue, 50); first.length > 0; first = await take(queue, 50)) found.push(...idsOf(first));
  assert.deepEqual([queue.length, queue.bytes], [0, 0]);
  return found;
}

/** The files of the queue that hold events, in order. */
async function segments(path: string): Promise<string[]> {
  const folder = join(path, SINK);
  const names = (await readdir(folder)).filter((name) => name.endsWith('.log')).sort();
  return names.map((name) => join(folder, name));
}

async function lastSegment(path: string): Promise<string> {
  return (await segments(path)).at(-1) ?? assert.fail('there is no file');
}

/** A queue of so many events in files of some ten each. */
async function filled(path: string, count: number): Promise<RegistryEvent[]> {
  const list = events(count);
  const fill = async ({ queue }: Host) => {
    for (const event of list) await queue.append([event]);
  };
  await within(path, fill, { segmentBytes: 4096, fsync: false });
  return list;
}

const test = suite('queue/directory: crashes');

test('a torn record at the end is cut off, wherever it is torn, with one warning that says how many bytes', async () => {
  const path = tempFolder();
  const list = events(3);
  await within(path, ({ queue }) => queue.append(list.slice(0, 2)));
  const file = await lastSegment(path);
  const { size } = await stat(file);
  await within(path, ({ queue }) => queue.append(list.slice(2)));
  const whole = await readFile(file);
  const lengths = [1, 3, 4, 7, 8, 9, 100, whole.length - size - 1];
  for (const length of lengths) {
    await writeFile(file, whole.subarray(0, size + length));
    const later = anEvent();
    await within(path, async ({ queue, lines }) => {
      assert.deepEqual(
        [lines.map(({ level, fields }) => [level, fields.bytes]), queue.length],
        [[['warn', length]], 2],
      );
      await queue.append([later]);
    });
    await within(path, async ({ queue, lines }) => {
      const found = (await queue.peek(10)).map(({ event }) => event.id);
      assert.deepEqual([lines, found], [[], idsOf([...list.slice(0, 2), later])]);
    });
  }
});

test('zeros, noise and a bit that fell over at the end are cut off', async () => {
  for (const tail of [Buffer.alloc(5000), Buffer.from('noise that is no record'), Buffer.alloc(20, 255)]) {
    const path = tempFolder();
    const list = events(2);
    await within(path, ({ queue }) => queue.append(list));
    await appendFile(await lastSegment(path), tail);
    await within(path, async ({ queue, lines }) => {
      assert.deepEqual(
        lines.map(({ level, fields }) => [level, fields.bytes]),
        [['warn', tail.length]],
      );
      assert.deepEqual(await drain(queue), idsOf(list));
    });
  }
  const path = tempFolder();
  const list = events(3);
  await within(path, ({ queue }) => queue.append(list));
  await spoil(await lastSegment(path), -20);
  await within(path, async ({ queue }) => assert.deepEqual(await drain(queue), idsOf(list.slice(0, 2))));
});

/** Turns a bit over; a negative offset counts from the end. */
async function spoil(file: string, offset: number): Promise<void> {
  const bytes = await readFile(file);
  const at = offset < 0 ? bytes.length + offset : offset;
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  await writeFile(file, bytes);
}

/** Where the records of a file begin, and where it ends. */
async function places(file: string): Promise<number[]> {
  const bytes = await readFile(file);
  const found = [0];
  for (let at = 0; at < bytes.length; found.push(at)) at += 8 + bytes.readUInt32LE(at);
  return found;
}

/** Writes zeros over some records; answers how many. */
async function wipe(file: string, first: number, end: number): Promise<number> {
  const starts = await places(file);
  const [from = 0, to = 0] = [starts[first], starts[end]];
  await writeFile(file, (await readFile(file)).fill(0, from, to));
  return to - from;
}

test('damage costs the event that it is in, an error says so at each start, and the others are delivered', async () => {
  // In the JSON, in its checksum, in its length: then it may become longer than all that follows, or shorter.
  for (const offset of [20, 5, 3, 0]) {
    const path = tempFolder();
    const list = events(1000);
    await within(path, ({ queue }) => queue.append(list));
    const file = await lastSegment(path);
    const { size } = await stat(file);
    const [, first] = await places(file);
    await spoil(file, offset);
    const later = events(2);
    await within(path, async ({ queue, lines }) => {
      assert.deepEqual(
        lines.map(({ level, fields }) => [level, fields.bytes, fields.file]),
        [['error', first, file]],
      );
      assert.equal(queue.length, 999);
      assert.equal((await stat(file)).size, size, 'the file was cut');
      await queue.append(later);
      assert.deepEqual(idsOf(await take(queue, 300)), idsOf(list.slice(1, 301)));
    });
    await within(path, async ({ queue, lines }) => {
      assert.deepEqual(
        lines.map(({ level }) => level),
        ['error'],
      );
      assert.deepEqual(await drain(queue), idsOf([...list.slice(301), ...later]));
    });
    await within(path, async ({ queue }) => assert.deepEqual(await drain(queue), []));
  }
});

test('damage before what was delivered costs nothing that waits, though it may bring events again', async () => {
  for (const harm of [
    (file: string) => spoil(file, 20),
    (file: string) => spoil(file, 0),
    (file: string) => wipe(file, 5, 9),
  ]) {
    const path = tempFolder();
    const list = events(50);
    await within(path, async ({ queue }) => {
      await queue.append(list);
      await take(queue, 30);
    });
    await harm(await lastSegment(path));
    await within(path, async ({ queue }) => {
      const found = await drain(queue);
      assert.deepEqual(found.slice(-20), idsOf(list.slice(30)));
    });
  }
});

test('damage of several records, and a torn end behind them: the others are delivered', async () => {
  const path = tempFolder();
  const list = events(40);
  await within(path, ({ queue }) => queue.append(list));
  const file = await lastSegment(path);
  const wiped = await wipe(file, 5, 9);
  await truncate(file, (await stat(file)).size - 7);
  await within(path, async ({ queue, lines }) => {
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['error', 'warn'],
    );
    assert.equal(lines[0]?.fields.bytes, wiped);
    assert.deepEqual(await drain(queue), idsOf([...list.slice(0, 5), ...list.slice(9, -1)]));
  });
});

test('damage in earlier files costs what it is in, in each of them, and positions stay right', async () => {
  for (const offset of [20, 0]) {
    const path = tempFolder();
    const list = await filled(path, 50);
    const spoilt = new Set<number>();
    const files = (await segments(path)).slice(0, -1);
    for (const file of files) {
      const starts = await places(file);
      for (const index of [1, 4]) {
        await spoil(file, (starts[index] ?? 0) + offset);
        spoilt.add(Number.parseInt(file.slice(-20), 10) + index);
      }
    }
    const whole = idsOf(list.filter((_, index) => !spoilt.has(index)));
    await within(path, async ({ queue, lines }) => {
      assert.deepEqual(
        lines.map(({ level, fields }) => [level, fields.file]),
        files.map((file) => ['error', file]),
      );
      assert.equal(queue.length, whole.length);
      assert.deepEqual(idsOf(await take(queue, 20)), whole.slice(0, 20));
    });
    await within(path, async ({ queue }) => {
      const found = await drain(queue);
      assert.deepEqual(found.slice(20 - whole.length), whole.slice(20));
    });
  }
});

test('a file is removed once all of it is delivered, and the last when a new one follows it', async () => {
  const path = tempFolder();
  await filled(path, 100);
  const before = (await segments(path)).length;
  assert.ok(before > 5, `${before} files`);
  await within(path, async ({ queue }) => {
    await take(queue, 50);
    const { length } = await segments(path);
    assert.ok(length < before && length >= before / 2 - 1, `${length} files of ${before} after a half was delivered`);
    await drain(queue);
    assert.equal((await segments(path)).length, 1);
  });
  await within(
    path,
    async ({ queue }) => {
      await queue.append(events(20));
      await queue.append(events(1));
      assert.equal((await drain(queue)).length, 21);
      assert.equal((await segments(path)).length, 1);
    },
    { segmentBytes: 4096 },
  );
});

test('how far it was delivered: when that is lost or damaged events come again, and none is missing', async () => {
  for (const harm of [
    (file: string) => rm(file),
    (file: string) => truncate(file, 9),
    (file: string) => spoil(file, 3),
  ]) {
    const path = tempFolder();
    const list = events(5);
    await within(path, async ({ queue }) => {
      await queue.append(list);
      await take(queue, 3);
    });
    await harm(join(path, SINK, 'head'));
    await within(path, async ({ queue }) => assert.deepEqual(await drain(queue), idsOf(list)));
  }
});

test('how far it was delivered: when the disk has lost what was delivered, what is new is not taken for delivered', async () => {
  for (const keep of [0, 1]) {
    const path = tempFolder();
    await within(path, async ({ queue }) => {
      await queue.append(events(5));
      await take(queue, 4);
    });
    const file = await lastSegment(path);
    await truncate(file, Math.floor(((await stat(file)).size / 5) * keep));
    const list = events(8);
    for (const event of list) await within(path, ({ queue }) => queue.append([event]));
    await within(path, async ({ queue }) => assert.deepEqual(await drain(queue), idsOf(list)));
  }
});

test('fsync: events, their file and the folders above it are on the disk when an append resolves', async () => {
  const root = tempFolder();
  const disk = new CrashModel(root);
  try {
    const store = async ({ queue }: Host) => {
      for (const event of events(30)) {
        await queue.append([event]);
        const key = (await lastSegment(join(root, 'deep/queue'))).slice(root.length + 1);
        assert.ok(disk.survivor(key)?.includes(event.id), `${key} is not on the disk`);
      }
    };
    await within(join(root, 'deep/queue'), store, { segmentBytes: 4096 });
    const { syncs } = disk;
    await within(join(root, 'other'), ({ queue }) => queue.append(events(3)), { fsync: false });
    assert.equal(disk.syncs, syncs, 'something was synced without fsync');
    await within(join(root, 'third'), async ({ queue }) => {
      await queue.append([anEvent()]);
      const before = disk.syncs;
      await queue.append(events(100));
      assert.equal(disk.syncs - before, 1, 'events that are appended together cost one sync');
    });
  } finally {
    disk.release();
  }
});

/** Has the next sync of a file fail. */
async function withFailingSync(use: (fail: () => void) => Promise<void>): Promise<void> {
  const { open } = promises;
  let failing = false;
  const failingOpen = async (...args: Parameters<typeof open>) => {
    const file = await open(...args);
    const sync = file.datasync.bind(file);
    return Object.assign(file, {
      datasync: async () => {
        if (!failing) return sync();
        failing = false;
        throw new Error('the disk has failed');
      },
    });
  };
  Object.assign(promises, { open: failingOpen });
  syncBuiltinESMExports();
  try {
    await use(() => {
      failing = true;
    });
  } finally {
    Object.assign(promises, { open });
    syncBuiltinESMExports();
  }
}

test('a queue that is closed takes nothing, answers nothing, and leaves its files to whoever has them next', async () => {
  const path = tempFolder();
  const [first, second] = [events(3), events(3)];
  const { instance, close } = await startPlugin(directory({ path }));
  const former = await instance.open(SINK);
  await former.append(first);
  const peeked = await former.peek(2);
  const underWay = former.append(second.slice(0, 1));
  const closed = former.close?.();
  const refused = () =>
    Promise.all(
      [() => former.append(events(1)), () => former.peek(1), () => former.remove(peeked)].map((call) =>
        assert.rejects(call(), /the queue is closed/),
      ),
    );
  await refused();
  await Promise.all([closed, underWay]);
  const next = await instance.open(SINK);
  await refused();
  await former.close?.();
  await assert.rejects(instance.open(SINK), /open already/);
  await next.append(second.slice(1));
  await refused();
  assert.deepEqual(await drain(next), idsOf([...first, ...second]));
  await next.close?.();
  await close();
});

test('an append that fails adds nothing, now or after the next start, and the next one succeeds', async () => {
  await withFailingSync(async (fail) => {
    for (const before of [0, 2]) {
      const path = tempFolder();
      const list = events(before + 3);
      await within(path, async ({ queue }) => {
        if (before > 0) await queue.append(list.slice(0, before));
        fail();
        await assert.rejects(queue.append(events(4)), /the disk has failed/);
        assert.equal(queue.length, before);
        assert.equal((await queue.peek(10)).length, before);
        await queue.append(list.slice(before, -1));
        fail();
        await assert.rejects(queue.append(events(1)), /the disk has failed/);
      });
      await within(path, async ({ queue, lines }) => {
        assert.deepEqual(lines, []);
        await queue.append(list.slice(-1));
        assert.deepEqual(await drain(queue), idsOf(list));
      });
    }
  });
});

/** What a process does whose files may not be longer than 64 KiB, as if the disk were full then. */
const ON_A_FULL_DISK = `
  import { startPlugin } from 'koa-registry';
  import { directory } from 'koa-registry/plugins/queue/directory';
  const event = (id, length) => ({ id, actor: { name: 'x'.repeat(length) } });
  const { instance, close } = await startPlugin(directory({ path: process.env.QUEUE_PATH, segmentBytes: '16KiB' }));
  const queue = await instance.open('${SINK}');
  const said = [];
  const append = (id, length) => queue.append([event(id, length)]).then(() => said.push(id), ({ code }) => said.push(code));
  await append('a', 10_000);
  await append('too long', 100_000);
  await append('b', 1000);
  await append('too long', 100_000);
  await append('c', 1000);
  said.push(queue.length);
  console.log(said.join());
  await queue.close();
  await close();
`;

test('a full disk: an append rejects, what it has written is cut off, and smaller ones still succeed', async () => {
  const path = tempFolder();
  const node = `ulimit -f 64; exec "$0" --input-type=module -e "$1"`;
  const said = await runProcess('bash', ['-c', node, process.execPath, ON_A_FULL_DISK], {
    env: { QUEUE_PATH: path },
    cwd: ROOT,
  });
  assert.equal(said.trim(), 'a,EFBIG,b,EFBIG,c,3');
  await within(path, async ({ queue, lines }) => {
    assert.deepEqual(lines, []);
    assert.deepEqual(await drain(queue), ['a', 'b', 'c']);
  });
});

test('many large events: a look at them holds about a mebibyte of them, and the others come later', async () => {
  const path = tempFolder();
  const list = Array.from({ length: 60 }, () => anEvent('x'.repeat(100_000)));
  await within(path, async ({ queue }) => {
    await queue.append(list);
    const { length } = await queue.peek(1000);
    assert.ok(length >= 5 && length <= 20, `${length} events at once`);
    assert.deepEqual(await drain(queue), idsOf(list));
  });
});

test('a queue of many files holds few of them open', async () => {
  const path = tempFolder();
  const opened = async () => {
    const links = await readdir('/proc/self/fd').catch(() => []);
    const targets = await Promise.all(links.map((fd) => promises.readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    return targets.filter((target) => target.startsWith(path)).length;
  };
  await within(
    path,
    async ({ queue }) => {
      for (const event of events(200)) await queue.append([event]);
      assert.ok((await opened()) <= 2, `${await opened()} files`);
      await queue.peek(100);
      assert.ok((await opened()) <= 2, `${await opened()} files`);
      await drain(queue);
      assert.ok((await opened()) <= 2, `${await opened()} files`);
    },
    { segmentBytes: 4096, fsync: false },
  );
  await within(path, async () => assert.ok((await opened()) <= 2), { segmentBytes: 4096 });
  assert.equal(await opened(), 0);
});

test.run();
