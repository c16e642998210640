// `layer/cloudfront`: which clients are within AWS, read from a file or a URL in the background, again and again, and
// what becomes of it when that fails.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { BlockList } from 'node:net';
import { join } from 'node:path';
import { mock } from 'node:test';
import timers from 'node:timers/promises';
import { inspect } from 'node:util';
import { suite } from 'uvu';
import { WARN } from '../http/host-service.js';
import { tempFolder } from '../support/temp-folder.js';
import { closeAll as closeServers, fileOf, KeyServer, serving } from './auth-token-registry.js';
import {
  CLIENT,
  type CloudFrontOptions,
  closeAll,
  DURATION,
  permitted,
  TestHandler,
  TO_STORE,
  UrlStore,
} from './layer-cloudfront-fixture.js';

const LOST = 'the addresses of AWS cannot be read: those read before serve on, or else CloudFront does';
const FOUND = 'the addresses of AWS are read again';

interface Network {
  readonly network: string;
  readonly region: string;
}

/** Networks as AWS publishes them. */
function listOf(...networks: readonly Network[]): object {
  const isV6 = ({ network }: Network) => network.includes(':');
  return {
    syncToken: '1',
    createDate: '2025-01-01-00-00-00',
    prefixes: networks.filter((each) => !isV6(each)).map(({ network, region }) => ({ ip_prefix: network, region })),
    ipv6_prefixes: networks.filter(isV6).map(({ network, region }) => ({ ipv6_prefix: network, region })),
  };
}

const IRELAND = { network: '198.51.100.0/24', region: 'eu-west-1' };
const IRELAND_V6 = { network: '2001:db8:100::/48', region: 'eu-west-1' };
const VIRGINIA = { network: '203.0.113.128/25', region: 'us-east-1' };
const ALL = listOf(IRELAND, IRELAND_V6, VIRGINIA);

const IN_IRELAND = '198.51.100.7';
const IN_VIRGINIA = '203.0.113.200';

const { setTimeout: realSleep } = timers;

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await realSleep(5);
}

async function isSentToStore(test: TestHandler, client: string): Promise<boolean> {
  return (await test.url(client, new UrlStore())) === TO_STORE;
}

async function open(ipRangesUrl: string, options: Partial<CloudFrontOptions> = {}): Promise<TestHandler> {
  return TestHandler.open({ ipFilteredBy: 'aws', ipRangesUrl, ...options });
}

/** A handler that has read its list, in which {@link IN_IRELAND} is. */
async function openRead(ipRangesUrl: string, options?: Partial<CloudFrontOptions>): Promise<TestHandler> {
  const test = await open(ipRangesUrl, options);
  await until(() => isSentToStore(test, IN_IRELAND));
  return test;
}

function told({ lines }: TestHandler): string[] {
  return lines.map(({ msg }) => msg);
}

function urlOf({ port }: KeyServer): string {
  return `http://127.0.0.1:${port}/ip-ranges.json?key=canary`;
}

/** The pauses that the plugin makes, each of which is over when the test asks for the next one. */
class Pauses {
  /** Of the last one. */
  signal: AbortSignal | undefined;
  /** Whether one of them would keep the process from ending. */
  holdsProcess = false;
  readonly #begun: number[] = [];
  #end: (() => void) | undefined;

  constructor() {
    const sleep = (milliseconds: number, _value: unknown, { signal, ref }: { signal: AbortSignal; ref?: boolean }) => {
      this.#begun.push(milliseconds);
      this.signal = signal;
      this.holdsProcess ||= ref !== false;
      return new Promise<void>((resolve) => {
        this.#end = resolve;
      });
    };
    Object.assign(timers, { setTimeout: sleep });
    // Those who imported it by its name get it, too.
    syncBuiltinESMExports();
  }

  /** How long the next one is to last, in milliseconds. */
  async next(): Promise<number> {
    this.#end?.();
    this.#end = undefined;
    await until(() => this.#begun.length > 0);
    return this.#begun.shift() ?? 0;
  }

  static end(): void {
    Object.assign(timers, { setTimeout: realSleep });
    syncBuiltinESMExports();
  }
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

async function closeBoth(): Promise<void> {
  Pauses.end();
  await closeAll();
  await closeServers();
}

const who = suite('layer/cloudfront: who is within AWS');
who.after.each(closeBoth);

who('clients within AWS go to the store, all others to CloudFront', async () => {
  const test = await openRead(await fileOf(ALL));
  for (const client of [
    IN_IRELAND,
    IN_VIRGINIA,
    `::ffff:${IN_IRELAND}`,
    '2001:db8:100:ffff::1',
    '2001:DB8:100::%en0',
  ]) {
    assert.ok(await isSentToStore(test, client), client);
  }
  for (const client of [CLIENT, '198.51.101.0', '198.51.99.255', '2001:db8:101::', '::1', '', 'unknown']) {
    permitted(await test.url(client, new UrlStore()));
  }
});

/** For how long `layer/delegate` hands out a URL again, in milliseconds. */
const REUSE = 10_000;

who('the store signs a URL for the method, as long as it may be, which serves all within AWS for a while', async () => {
  const week = 7 * 24 * HOUR;
  for (const [duration, expires] of [
    [DURATION, DURATION],
    ['52w', week],
  ] as const) {
    const test = await openRead(await fileOf(ALL), { duration });
    test.now += REUSE;
    const store = new UrlStore();
    const askAll = async () => {
      for (const client of [IN_IRELAND, IN_VIRGINIA]) {
        for (const method of ['GET', 'HEAD'] as const) assert.equal(await test.url(client, store, method), TO_STORE);
      }
    };
    await askAll();
    const signed = [
      { method: 'GET', expires },
      { method: 'HEAD', expires },
    ];
    assert.deepEqual(store.asked, signed);
    test.now += REUSE;
    await askAll();
    assert.deepEqual(store.asked, [...signed, ...signed]);
  }
});

who('where the store has no URL, there is CloudFront, and one warning', async () => {
  for (const [store, reason] of [
    [{}, /no URLs of its own/],
    [{ url: async () => undefined }, /cannot sign a URL/],
    [{ url: () => Promise.reject(new Error('no credentials')) }, /no credentials/],
  ] as const) {
    const test = await openRead(await fileOf(ALL));
    test.now += REUSE;
    for (let round = 0; round < 2; round++) {
      permitted(await test.url(IN_IRELAND, store));
      permitted(await test.url(CLIENT, store));
    }
    assert.deepEqual(told(test), ['the store has no URL for clients within AWS: they go to CloudFront, too']);
    assert.equal(test.lines[0]?.level, WARN);
    assert.match(inspect(test.lines[0]?.err), reason);
    test.now += REUSE;
    assert.ok(await isSentToStore(test, IN_IRELAND), 'the store is not asked again');
  }
});

who('only clients of the regions that are named', async () => {
  for (const awsRegion of [['eu-west-1'], ' EU-West-1,eu-west-1 ,']) {
    const test = await openRead(await fileOf(ALL), { ipFilteredBy: 'awsregion', awsRegion });
    assert.ok(await isSentToStore(test, '2001:db8:100::1'));
    permitted(await test.url(IN_VIRGINIA, new UrlStore()));
  }
  const both = await openRead(await fileOf(ALL), { ipFilteredBy: 'awsregion', awsRegion: 'us-east-1, eu-west-1' });
  assert.ok(await isSentToStore(both, IN_VIRGINIA));
});

who('a region of which the list knows nothing is named in a warning', async () => {
  const test = await open(await fileOf(ALL), { ipFilteredBy: 'awsregion', awsRegion: ['eu-west-1', 'eu-wset-2'] });
  await until(() => test.lines.length > 0);
  assert.match(inspect(test.lines), /has no address of the region "eu-wset-2"/);
  permitted(await test.url(IN_IRELAND, new UrlStore()));
});

/** Numbers that look random and are the same in each run. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Of few different octets and groups, so that networks contain each other and addresses meet them. */
function addresses(next: (below: number) => number) {
  const some = (count: number, values: readonly string[]) =>
    Array.from({ length: count }, () => values[next(values.length)]);
  return {
    v4: () => some(4, ['1', '64', '127', '128', '200', '255']).join('.'),
    v6: () => some(8, ['0', '1', '7f', '8000', 'ffff', 'FE80']).join(':'),
  };
}

who('networks of both families, in any order and one within another, are found as Node finds them', async () => {
  const next = numbers(7);
  const { v4, v6 } = addresses(next);
  const expected = new BlockList();
  const networks = [IRELAND];
  for (let index = 0; index < 150; index++) {
    const [four, six, short, long] = [v4(), v6(), 8 + next(25), 16 + next(113)];
    expected.addSubnet(four, short, 'ipv4');
    expected.addSubnet(six, long, 'ipv6');
    networks.push({ network: `${four}/${short}`, region: 'a' }, { network: `${six}/${long}`, region: 'b' });
  }
  expected.addSubnet('198.51.100.0', 24, 'ipv4');
  const test = await openRead(await fileOf(listOf(...networks)));
  const found = { true: 0, false: 0 };
  for (let index = 0; index < 2_000; index++) {
    const [address, family] = index % 2 === 0 ? ([v4(), 'ipv4'] as const) : ([v6(), 'ipv6'] as const);
    const within = expected.check(address, family);
    found[`${within}`] += 1;
    assert.equal(await isSentToStore(test, address), within, address);
  }
  assert.ok(found.true > 100 && found.false > 100, inspect(found));
});

who('an IPv6 address is the same in each of its spellings', async () => {
  const test = await openRead(await fileOf(listOf(IRELAND, { network: '64:ff9b::c633:6400/120', region: 'a' })));
  for (const address of ['64:ff9b::198.51.100.9', '64:FF9B::C633:6409', '0064:ff9b:0:0:0:0:c633:6409']) {
    assert.ok(await isSentToStore(test, address), address);
  }
  assert.ok(!(await isSentToStore(test, '64:ff9b::198.51.101.9')));
});

who.run();

const reading = suite('layer/cloudfront: reading the list');
reading.after.each(closeBoth);

reading('a list at a URL is followed', async () => {
  const server = await KeyServer.start(serving(listOf(IRELAND)));
  const test = await openRead(urlOf(server), { updateFrequency: '1s' });
  assert.ok(!(await isSentToStore(test, IN_VIRGINIA)));
  server.answer = serving(listOf(VIRGINIA));
  await until(() => isSentToStore(test, IN_VIRGINIA));
  assert.ok(!(await isSentToStore(test, IN_IRELAND)));
  assert.deepEqual(told(test), []);
});

reading('nobody waits for it: until it is there, everybody goes to CloudFront', async () => {
  const server = await KeyServer.start(() => undefined);
  const test = await open(urlOf(server));
  await until(() => server.asked === 1);
  const answer = test.resolve(IN_IRELAND, new UrlStore());
  assert.ok(answer !== undefined && 'redirect' in answer, 'it does not answer at once');
  permitted(answer.redirect);
});

reading('closing ends a reading that is under way, and says nothing', async () => {
  const ended: Promise<unknown>[] = [];
  const server = await KeyServer.start((_request, response) => void ended.push(once(response, 'close')));
  // The reading's own time must not be what ends it.
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const test = await open(urlOf(server));
    await until(() => ended.length > 0);
    await test.close();
    await Promise.all(ended);
    await new Promise(setImmediate);
    assert.deepEqual(told(test), []);
  } finally {
    mock.timers.reset();
  }
});

reading('what fails is told once, changes nothing, and is tried again', async () => {
  const server = await KeyServer.start(serving(ALL));
  const elsewhere = await KeyServer.start(serving(listOf(VIRGINIA)));
  const answers: readonly (readonly [answer: RequestListener, message: RegExp])[] = [
    [(_, response) => void response.writeHead(500).end('canary'), /answers 500, not 200; redirects are not followed/],
    [(_, response) => void response.writeHead(302, { Location: urlOf(elsewhere) }).end(), /answers 302, not 200/],
    [serving('canary'), /is not JSON/],
    [serving({ prefixes: [{ ip_prefix: 'canary', region: 'a' }] }), /is no list of addresses as AWS publishes it/],
    [serving({ prefixes: [{ ip_prefix: '2001:db8::/32', region: 'a' }] }), /is no list of addresses/],
    [serving({ keys: [] }), /is no list of addresses/],
    [serving(`"${'x'.repeat(16 * 1024 * 1024)}"`), /has more than 16777216 bytes/],
    [(request) => void request.socket.destroy(), /fetch failed/],
  ];
  const pauses = new Pauses();
  for (const [answer, message] of answers) {
    server.answer = serving(ALL);
    const test = await open(urlOf(server));
    assert.equal(await pauses.next(), 12 * HOUR);
    server.answer = answer;
    assert.deepEqual([await pauses.next(), await pauses.next()], [MINUTE, 2 * MINUTE]);
    assert.ok(await isSentToStore(test, IN_IRELAND), 'what was known is forgotten');
    server.answer = serving(listOf(VIRGINIA));
    assert.equal(await pauses.next(), 12 * HOUR);
    assert.ok(await isSentToStore(test, IN_VIRGINIA));
    assert.deepEqual(told(test), [LOST, FOUND]);
    const [line] = test.lines;
    assert.equal(line?.level, WARN);
    assert.match(inspect(line?.err), message);
    assert.match(inspect(line?.err), /ipRangesUrl http:\/\/127\.0\.0\.1:\d+\/ip-ranges\.json cannot be used/);
    assert.doesNotMatch(JSON.stringify(test.lines), /canary/);
    await test.close();
  }
  assert.equal(elsewhere.asked, 0);
});

reading('a file that is not there, or too large, is told by its path', async () => {
  const missing = join(tempFolder(), 'ranges.json');
  const large = await fileOf('x'.repeat(16 * 1024 * 1024 + 1));
  for (const [path, message] of [
    [missing, /ranges\.json" cannot be used: ENOENT/],
    [large, /has more than 16777216 bytes/],
  ] as const) {
    const test = await open(path);
    await until(() => told(test).length > 0);
    assert.match(inspect(test.lines), message);
    permitted(await test.url(IN_IRELAND, new UrlStore()));
  }
});

reading.run();

const time = suite('layer/cloudfront: the list in the course of time');
time.after.each(closeBoth);

time('it is read every twelve hours, and after failures sooner, with pauses that double', async () => {
  const pauses = new Pauses();
  const path = await fileOf(ALL);
  const test = await open(path);
  assert.deepEqual([await pauses.next(), await pauses.next()], [12 * HOUR, 12 * HOUR]);
  await rm(path);
  const minutes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 720, 720];
  for (const count of minutes) assert.equal(await pauses.next(), count * MINUTE);
  assert.ok(await isSentToStore(test, IN_IRELAND));
  await fileOf(listOf(VIRGINIA), path);
  assert.equal(await pauses.next(), 12 * HOUR);
  assert.ok(await isSentToStore(test, IN_VIRGINIA));
  await rm(path);
  assert.equal(await pauses.next(), MINUTE);
  assert.deepEqual(told(test), [LOST, FOUND, LOST]);
});

time('after a failure it is never longer than between two readings', async () => {
  const pauses = new Pauses();
  await open(join(tempFolder(), 'missing.json'), { updateFrequency: '3m' });
  for (const count of [1, 2, 3, 3]) assert.equal(await pauses.next(), count * MINUTE);
});

time('a pause ends with the plugin, and keeps no process from ending', async () => {
  const pauses = new Pauses();
  const test = await open(await fileOf(ALL));
  await pauses.next();
  assert.equal(pauses.holdsProcess, false);
  assert.equal(pauses.signal?.aborted, false);
  await test.close();
  assert.equal(pauses.signal?.aborted, true);
});

time('a server that does not answer within ten seconds has failed', async () => {
  const server = await KeyServer.start(() => undefined);
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const test = await open(urlOf(server));
    await until(() => server.asked === 1);
    mock.timers.tick(9_999);
    await new Promise(setImmediate);
    assert.deepEqual(told(test), []);
    mock.timers.tick(1);
    await until(() => test.lines.length > 0);
    assert.match(inspect(test.lines), /has not been read within 10000 ms/);
    assert.doesNotMatch(JSON.stringify(test.lines), /canary/);
  } finally {
    mock.timers.reset();
  }
});

time.run();
