// That events arrive: whole, in order, and only what was passed on.
import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';
import type { Delivery, RegistryEvent } from 'koa-registry';
import { delivering, isObject, type SinkCase, type SinkHost, type SinkStage } from './notification-sink-case.js';
import { aDescriptor, anEvent, assertEvents, events } from './notification-sink-events.js';

const MOST = 1000;

/** Asserts that events arrive as they are. */
async function arrives(stage: SinkStage, ...some: readonly RegistryEvent[]): Promise<void> {
  const host = await stage.start();
  await host.deliver(some);
  assertEvents(await host.received(), some);
}

/** What a client may call itself, or be called. */
const TEXTS = [
  'Åsa "the lion" O\'Tool',
  '日本語 ελληνικά עברית',
  '🐳👩‍🚀',
  'a\\b\\u0041 %41 &amp; <b> {{x}} $HOME',
  'lines\r\nof\ttext\u2028and\u0007bells\u0000',
];

/** Everything that can be left out, is, and everything that can be empty. */
const BARE: readonly RegistryEvent[] = [
  anEvent({ action: 'delete', target: { repository: 'conformance/bare' }, actor: {} }),
  anEvent({ action: 'pull', target: { repository: 'conformance/bare', size: 0, length: 0, references: [] } }),
  anEvent({ actor: {}, request: { id: 'x', addr: '', host: '', method: 'GET', useragent: '' } }),
];

const RULES: { readonly [K in keyof Delivery]-?: (value: unknown) => boolean } = {
  name: (value) => typeof value === 'string' && value !== '',
  batch: (value) => Number.isInteger(value) && Number(value) >= 1,
  timeout: isDuration,
  threshold: (value) => Number.isInteger(value) && Number(value) >= 1,
  backoff: isDuration,
  maxBackoff: isDuration,
  maxAttempts: (value) => Number.isInteger(value) && Number(value) >= 1,
  ignore: (value) => isObject(value) && Object.values(value).every(isTexts),
};

function isDuration(value: unknown): boolean {
  return Number.isFinite(value) && Number(value) > 0;
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text) => typeof text === 'string');
}

/** Asserts that the queue can deliver by these. */
function assertDelivery(delivery: object): void {
  for (const [member, value] of Object.entries(delivery)) {
    const rule = Object.hasOwn(RULES, member) ? RULES[member as keyof Delivery] : assert.fail(`no such ${member}`);
    assert.ok(value === undefined || rule(value), `delivery.${member} is ${inspect(value)}`);
  }
}

/** None of them is a default. */
const OTHERS = {
  name: 'conformance-other',
  batch: 7,
  timeout: 4321,
  threshold: 3,
  backoff: 77,
  maxBackoff: 777,
  maxAttempts: 5,
  ignore: { mediaTypes: ['text/x-ignored'], actions: ['mount'], repositories: ['ignored/**'] },
} as const satisfies Delivery;

/** Asserts that a sink hands back what its options say of the delivery; it may ignore more. */
function assertHandedBack({ sink: { delivery = {} } }: SinkHost, { ignore, ...others }: Delivery): void {
  for (const [member, value] of Object.entries(others)) {
    assert.deepEqual(Reflect.get(delivery, member), value, `delivery.${member} is not what the options say`);
  }
  for (const [member, texts] of Object.entries<readonly string[]>({ ...ignore })) {
    const ignored: unknown = Reflect.get(delivery.ignore ?? {}, member);
    const lacks = texts.filter((text) => !(Array.isArray(ignored) && ignored.includes(text)));
    assert.deepEqual(lacks, [], `delivery.ignore.${member} lacks what the options say`);
  }
}

export const deliveryCases: readonly SinkCase[] = [
  ['write: an event arrives whole, with every field', (stage) => arrives(stage, anEvent())],
  ['write: what an event leaves out is left out, and what is empty is empty', (stage) => arrives(stage, ...BARE)],
  [
    'write: texts of any script arrive as they are',
    (stage) =>
      arrives(
        stage,
        ...TEXTS.map((name) => {
          const { request, ...event } = anEvent({ actor: { name } });
          return { ...event, request: { ...request, useragent: name } };
        }),
      ),
  ],
  [
    'write: an event with a hundred references arrives whole',
    (stage) => {
      const references = Array.from({ length: 100 }, (_, index) => aDescriptor(`reference ${index}`));
      return arrives(stage, anEvent({ target: { repository: 'conformance/many', references } }));
    },
  ],
  ['write: events arrive in the order of the writes', (stage) => arrives(stage, ...events(20))],
  [
    'write: a batch arrives in its order, and the next one after it',
    async (stage) => {
      const host = await stage.start(undefined, { batch: MOST, timeout: 30_000 });
      const some = events(2 * host.batch + 1);
      await host.deliver(some);
      assertEvents(await host.received(), some);
    },
  ],
  [
    'write: events that come again, as they do after a restart, are no failure',
    async (stage) => {
      const host = await stage.start(undefined, { timeout: 30_000 });
      const [first, second] = [anEvent(), anEvent()];
      for (const event of [first, second]) {
        await host.deliver([event]);
        await host.write([event]).catch((error: unknown) => assert.fail(`known events are refused: ${error}`));
      }
      const ids = new Set((await host.received()).map(({ id }) => id));
      assert.deepEqual([...ids], [first.id, second.id]);
    },
  ],
  [
    'write: changes nothing of what it is given, nor of its options',
    async (stage) => {
      const opened = await stage.open();
      const { sink } = opened.setup;
      const given = events(1);
      const seen = () => inspect([given, sink.options], { depth: Infinity, maxArrayLength: Infinity });
      const before = seen();
      const host = await stage.start(opened);
      await host.deliver(given);
      await host.write(given).catch(() => undefined);
      assert.equal(seen(), before);
    },
  ],
  [
    'delivery: has valid values, those that the options give',
    async (stage) => {
      const opened = await stage.open();
      const host = await stage.start(opened);
      assertDelivery(host.sink.delivery ?? {});
      if (delivering(opened.setup.sink, OTHERS) === undefined) return;
      assertHandedBack(await stage.start(opened, OTHERS), OTHERS);
    },
  ],
];
