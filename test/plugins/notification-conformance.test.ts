// The published suite for sinks over every built-in one, with far ends that really fail: a listener that is gone or
// hangs, a Redis that is stopped or frozen.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RegistryEvent } from 'koa-registry';
import { type FarEndFailure, notificationSinkSuite, type SinkPlaces, type SinkSetup } from 'koa-registry/conformance';
import { callback, type EventFunction } from 'koa-registry/plugins/notification/function';
import { log } from 'koa-registry/plugins/notification/log';
import { redis } from 'koa-registry/plugins/notification/redis';
import { webhook } from 'koa-registry/plugins/notification/webhook';
import { suite, type Test } from 'uvu';
import { runProcess } from '../support/process.js';
import { RedisServer } from '../support/redis.js';
import { announcing, suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';
import { answer, hang, Listener } from './notification-webhook-listener.js';

type Open = (places: SinkPlaces) => SinkSetup | Promise<SinkSetup>;

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

const covered = new Set<string>();

/** Runs the suite over a setup of a built-in sink. */
function cover(name: string, what: string, open: Open, makeTest: (title: string) => Test = suite): void {
  covered.add(name);
  const title = `notification/${name}: conformance, ${what}`;
  const test = makeTest(title);
  notificationSinkSuite(announcing(test, title), open);
  test.run();
}

/** A listener for each setup. */
function listening(sinkOf: (url: string) => SinkSetup['sink'], secrets: readonly string[] = []): Open {
  return async () => {
    const listener = await Listener.start();
    const fail = async (how: FarEndFailure) => {
      if (how === 'away') {
        await listener.stop();
        return () => listener.comeBack();
      }
      listener.usually = hang;
      return async () => {
        listener.usually = answer(200);
      };
    };
    const received = async () => listener.accepted;
    return { sink: sinkOf(listener.url), received, fail, secrets, close: () => listener.stop() };
  };
}

cover(
  'webhook',
  'one event at a time',
  listening((url) => webhook({ url })),
);

cover(
  'webhook',
  'batches, signed, with headers that nobody may know',
  listening(
    (url) =>
      webhook({
        url: `${url}?key=canary-of-a-query`,
        batch: 100,
        mediaType: 'v1',
        headers: { Authorization: 'Bearer canary-of-a-header' },
        hmac: { secret: 'canary-of-a-signature' },
      }),
    ['canary-of-a-query'],
  ),
);

/** What fails is the whole server, stopped or frozen. */
async function failRedis(server: RedisServer, how: FarEndFailure): Promise<() => Promise<void>> {
  if (how === 'slow') {
    server.freeze();
    return async () => server.thaw();
  }
  await server.stop();
  return () => server.start();
}

async function streamed(server: RedisServer, stream: string): Promise<RegistryEvent[]> {
  const entries = await server.with((client) => client.xrange(stream, '-', '+'));
  return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('event') + 1] ?? ''));
}

cover(
  'redis',
  'a stream',
  async () => {
    const password = 'canary-of-redis';
    const server = await RedisServer.start({ persistent: true, password });
    return {
      sink: redis({ addr: server.addr, password, stream: 'events' }),
      received: () => streamed(server, 'events'),
      fail: (how) => failRedis(server, how),
      close: () => server.stop('SIGKILL'),
    };
  },
  (title) => suiteNeeding(title, ['redis-server']),
);

cover('log', 'lines of the registry’s log', ({ log: lines }) => {
  const received = async () =>
    lines.filter(({ message }) => message === 'registry event').map(({ fields }) => fields.event as RegistryEvent);
  return { sink: log(), received };
});

cover('function', 'a function of the host application', () => {
  const received: RegistryEvent[] = [];
  let failing: FarEndFailure | undefined;
  const take: EventFunction = async (events, { signal }) => {
    if (failing === 'away') throw new Error('not now');
    while (failing === 'slow') await sleep(60_000, undefined, { signal, ref: false });
    received.push(...events);
  };
  const fail = async (how: FarEndFailure) => {
    failing = how;
    return async () => {
      failing = undefined;
    };
  };
  return { sink: callback({ function: take }), received: async () => received, fail };
});

const test = suite('notification: conformance');

test('every built-in sink passes the suite', () => {
  const folder = fileURLToPath(new URL('../../plugins/notification/', import.meta.url));
  const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
  assert.deepEqual(files.map((name) => name.replace(/\.js$/, '')).sort(), [...covered].sort());
});

test('the sink that the guide writes passes the suite, run as it is written there', async () => {
  const folder = tempFolder();
  await mkdir(join(folder, 'node_modules'));
  await symlink(ROOT, join(folder, 'node_modules/koa-registry'));
  await symlink(join(ROOT, 'node_modules/zod'), join(folder, 'node_modules/zod'));
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  const [, section = ''] = readFileSync(join(ROOT, 'plugins/README.md'), 'utf8').split('## Writing a sink\n');
  for (const [, block = ''] of (section.split('\n## ')[0] ?? '').matchAll(/^```js\n([\s\S]*?)^```/gm)) {
    const [, file = assert.fail('a block without the name of its file')] = /^\/\/ (\S+)\n/.exec(block) ?? [];
    await writeFile(join(folder, file), block);
  }
  const output = await runProcess(process.execPath, ['--test-reporter=tap', join(folder, 'sink-mine.test.js')]);
  assert.match(output, /^# pass \d\d$/m);
  assert.match(output, /^# fail 0$/m);
});

test.run();
