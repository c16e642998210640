// `layer/delegate`: whose URL a client gets, for how long it is handed out again, and what becomes of a store that
// cannot sign. The stores that verify signatures are in `test/clients/redirects.test.ts`.
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { inspect } from 'node:util';
import type { LayerStore } from 'koa-registry';
import { delegate } from 'koa-registry/plugins/layer/delegate';
import { suite } from 'uvu';
import { answered, refused } from '../http/suite/answers.js';
import { pushBlob } from '../support/content.js';
import { BARE, type OpenRegistry, openRegistry, startStorage } from '../support/registry.js';
import { layerOf, problemsOf, requestFor, urlBy, withHandler } from './layer-redirects-fixture.js';

type SignUrl = NonNullable<LayerStore['url']>;
type Asked = Parameters<SignUrl>;

const MINUTE = 60_000;

/** Signs by counting, and notes what it was asked. */
function counting(): { readonly url: SignUrl; readonly asked: Asked[] } {
  const asked: Asked[] = [];
  return { asked, url: async (...given) => `https://store.example/${asked.push(given)}?signature=canary-url` };
}

const test = suite('layer/delegate');

test('the driver signs, for the method, for as long as the option says, and is not told who asks', async () => {
  for (const [options, expires] of [
    [{}, 20 * MINUTE],
    [{ expires: '90s' }, 90_000],
    [{ expires: '7d' }, 7 * 24 * 60 * MINUTE],
  ] as const) {
    const { url, asked } = counting();
    await withHandler(delegate(options), async (handler) => {
      const layer = layerOf('abc', { url });
      assert.equal(await urlBy(handler, layer), 'https://store.example/1?signature=canary-url');
      assert.equal(await urlBy(handler, layer, requestFor('HEAD')), 'https://store.example/2?signature=canary-url');
      assert.deepEqual(asked, [
        [layer.key, { method: 'GET', expires }],
        [layer.key, { method: 'HEAD', expires }],
      ]);
    });
  }
});

test('a time that is too short or too long is refused', async () => {
  assert.deepEqual(await problemsOf(delegate({ expires: 999 })), ['layer.delegate.expires must be at least 1s']);
  assert.deepEqual(await problemsOf(delegate({ expires: '169h' })), ['layer.delegate.expires must be at most 7d']);
  assert.deepEqual(await problemsOf(delegate({ expires: '1s' })), []);
});

for (const [expires, reuse] of [
  ['20m', 10_000],
  ['7d', 10_000],
  ['50s', 5_000],
] as const) {
  test(`a URL for ${expires} is handed out for ${reuse} ms, to whoever asks`, async () => {
    const { url, asked } = counting();
    let now = 1_000_000;
    await withHandler(
      delegate({ expires }),
      async (handler) => {
        const [layer, other] = [layerOf('abc', { url }), layerOf('def', { url })];
        const first = await urlBy(handler, layer);
        assert.notEqual(await urlBy(handler, other), first);
        now += reuse - 1;
        assert.equal(await urlBy(handler, layer, requestFor('GET', '198.51.100.7')), first);
        assert.equal(asked.length, 2);
        now += 1;
        assert.notEqual(await urlBy(handler, layer), first);
        assert.equal(asked.length, 3);
      },
      () => now,
    );
  });
}

test('a clock that is set back does not prolong the life of a URL', async () => {
  const { url } = counting();
  let now = 10 * MINUTE;
  await withHandler(
    delegate(),
    async (handler) => {
      const first = await urlBy(handler, layerOf('abc', { url }));
      now = 5 * MINUTE;
      assert.notEqual(await urlBy(handler, layerOf('abc', { url })), first);
    },
    () => now,
  );
});

test('many who ask at once wait for one signature', async () => {
  const { url, asked } = counting();
  await withHandler(delegate(), async (handler) => {
    const slow: SignUrl = async (...given) => {
      await turn();
      return url(...given);
    };
    const urls = await Promise.all(Array.from({ length: 50 }, () => urlBy(handler, layerOf('abc', { url: slow }))));
    assert.equal(new Set(urls).size, 1);
    assert.equal(asked.length, 1);
  });
});

test('that there is no URL is not remembered, nor that signing has failed', async () => {
  const signed = counting();
  const answers: SignUrl[] = [
    async () => undefined,
    () => Promise.reject(new Error('no credentials')),
    () => {
      throw new Error('no credentials');
    },
    signed.url,
  ];
  await withHandler(delegate(), async (handler) => {
    const layer = layerOf('abc', { url: (...given) => (answers.shift() ?? assert.fail('asked again'))(...given) });
    await assert.rejects(async () => handler.resolve(layer, requestFor()), /cannot sign a URL for 1200000 ms/);
    for (let round = 0; round < 2; round++) {
      await assert.rejects(async () => handler.resolve(layer, requestFor()), /no credentials/);
    }
    assert.equal(await urlBy(handler, layer), await urlBy(handler, layer));
  });
});

test('a driver that never answers is asked again after a while', async () => {
  const { url } = counting();
  const answers: SignUrl[] = [() => new Promise(() => undefined), url];
  let now = 0;
  await withHandler(
    delegate(),
    async (handler) => {
      const layer = layerOf('abc', { url: (...given) => (answers.shift() ?? assert.fail('asked again'))(...given) });
      void handler.resolve(layer, requestFor());
      now = MINUTE;
      assert.match(await urlBy(handler, layer), /^https:/);
    },
    () => now,
  );
});

/** What a driver may have, and what is wrong with it; with what is, `required` or not. */
const STORES: readonly (readonly [what: string, store: LayerStore, always: RegExp | undefined, required: RegExp])[] = [
  ['has no URLs', {}, undefined, /the storage driver has no URLs of its own/],
  ['has none for this object', { url: async () => undefined }, undefined, /cannot sign a URL for 1200000 ms/],
  ['cannot sign', { url: () => Promise.reject(new Error('no keys')) }, /no keys/, /no keys/],
];

for (const [what, store, always, ifRequired] of STORES) {
  for (const required of [true, false]) {
    const problem = required ? ifRequired : always;
    const isSaid = problem === undefined ? 'is well, and the registry streams' : 'fails, as does its check';
    test(`required: ${required}: on a driver that ${what} the handler ${isSaid}`, async () => {
      await withHandler(delegate({ required }), async (handler) => {
        const resolved = async () => handler.resolve(layerOf('abc', store), requestFor());
        const checked = async () => handler.check?.(store);
        for (const outcome of [resolved, checked]) {
          if (problem === undefined) assert.equal(await outcome(), undefined);
          else await assert.rejects(outcome, problem);
        }
      });
    });
  }
}

test('check: resolves where a URL can be signed, and says what is wrong where none can', async () => {
  await withHandler(delegate({ expires: '1h' }), async (handler) => {
    const { url, asked } = counting();
    await handler.check?.({ url });
    const [key, options] = asked[0] ?? assert.fail('not asked');
    assert.match(key, /^docker\/registry\/v2\/blobs\/sha256\//);
    assert.deepEqual(options, { method: 'GET', expires: 60 * MINUTE });
    await assert.rejects(
      async () => handler.check?.({ url: async () => undefined }),
      /cannot sign a URL for 3600000 ms/,
    );
    await handler.check?.({ url });
    assert.equal(asked.length, 2, 'an answer that was kept proves nothing');
  });
});

interface Circumstances {
  readonly onFailure?: 'stream' | 'unavailable';
  readonly required?: boolean;
}

/** A registry over a store in memory, with the given way to sign. */
async function withRegistry(
  store: LayerStore,
  use: (at: OpenRegistry, path: string) => Promise<void>,
  { onFailure = 'stream', required = true }: Circumstances = {},
): Promise<void> {
  const driver = { ...(await startStorage()), ...store };
  const at = await openRegistry(BARE, { driver, layer: delegate({ required }), offload: { onFailure } });
  try {
    await use(at, `/v2/team/app/blobs/${await pushBlob(at, 'team/app', 'abc')}`);
  } finally {
    await at.close();
  }
}

/** An error and its causes. */
const told = (error: unknown): string => (error instanceof Error ? `${error.message}: ${told(error.cause)}` : '');

const handlerWarnings = ({ log }: OpenRegistry) =>
  log.filter(({ message }) => message.startsWith('the layer handler fails'));

for (const [what, store, , reason] of STORES) {
  test(`a store that ${what}: the registry streams, and has said so once, and in its health`, async () => {
    await withRegistry(store, async (at, path) => {
      for (let round = 0; round < 3; round++) {
        assert.equal(answered(await at.send('GET', path), 200).body.toString(), 'abc');
        assert.equal(answered(await at.send('HEAD', path), 200).headers['content-length'], '3');
      }
      const warnings = handlerWarnings(at);
      assert.equal(warnings.length, 1);
      assert.match(told(warnings[0]?.fields.err), reason);
      const { ok, ready, checks } = await at.registry.health();
      assert.deepEqual([ok, ready], [false, true]);
      assert.match(checks.layer ?? '', reason);
    });
  });
}

for (const [what, store, , reason] of STORES) {
  test(`a store that ${what} is 503 with Retry-After, where the options say so`, async () => {
    const onFailure = 'unavailable';
    const use = async (at: OpenRegistry, path: string) => {
      const answer = await at.send('GET', path);
      refused(answer, 503, 'UNAVAILABLE');
      assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
      assert.doesNotMatch(answer.body.toString(), reason);
    };
    await withRegistry(store, use, { onFailure });
  });
}

test('a store without URLs is nothing to speak of where none is required', async () => {
  for (const [, store, always] of STORES) {
    if (always !== undefined) continue;
    const use = async (at: OpenRegistry, path: string) => {
      assert.equal(answered(await at.send('GET', path), 200).body.toString(), 'abc');
      assert.deepEqual(handlerWarnings(at), []);
      assert.equal((await at.registry.health()).checks.layer, 'ok');
    };
    await withRegistry(store, use, { onFailure: 'unavailable', required: false });
  }
});

test('no line of the log has a URL that was signed', async () => {
  const { url } = counting();
  await withRegistry({ url }, async (at, path) => {
    const answer = answered(await at.send('GET', path), 307);
    assert.match(answer.headers.location ?? '', /\?signature=canary-url$/);
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.ok(at.log.length > 0);
    assert.ok(!inspect(at.log, { depth: null }).includes('canary'));
  });
});

test.run();
