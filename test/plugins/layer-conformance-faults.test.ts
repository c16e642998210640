// The suite for layer handlers, tested itself: over short handlers that keep every promise, and over
// handlers that break one promise each, which have to fail at that promise.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { isIP } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { definePlugin, type LayerHandler, type PluginHost, pluginOf, secret } from 'koa-registry';
import { type LayerPlaces, type LayerSetup, layerHandlerSuite } from 'koa-registry/conformance';
import { suite } from 'uvu';
import { z } from 'zod';
import { onFreePort } from '../support/free-port.js';

type Resolve = LayerHandler['resolve'];
type Open = (places: LayerPlaces) => LayerSetup | Promise<LayerSetup>;

function setupOf(create: (host: PluginHost) => LayerHandler, more: Partial<LayerSetup> = {}): LayerSetup {
  const options = z.strictObject({});
  const detour = definePlugin({ kind: 'layer', name: 'detour', options, create: (_, host) => create(host) });
  return { layer: detour(), ...more };
}

const EXPIRES = 60_000;

/** The driver's own URL, signed for the method. */
const signed: Resolve = async ({ url, key }, { method, client }) => {
  const redirect = await url?.(key, { method, expires: EXPIRES, client });
  return redirect === undefined ? undefined : { redirect };
};

/** A URL made of the key. */
const plain =
  ({ origin }: LayerPlaces): Resolve =>
  ({ key }) => ({ redirect: `${origin}/${key}` });

/** A file for a front server. */
const file: Resolve = ({ key }) => ({ headers: { 'X-File': key } });

/** A setup whose handler does this, and all else as it should be. */
function resolving(resolve: (places: LayerPlaces, host: PluginHost) => Resolve): Open {
  return (places) => setupOf((host) => ({ resolve: resolve(places, host) }));
}

/** What a front server would do, done by the suite's client. */
const follow =
  ({ origin }: LayerPlaces): NonNullable<LayerSetup['follow']> =>
  async (reply, { method, headers }) => {
    const answer = await fetch(`${origin}/${reply.headers['x-file']}`, { method, headers });
    const body = new Uint8Array(await answer.arrayBuffer());
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
  };

const SOUND: Readonly<Record<string, Open>> = {
  'asks the driver': resolving(() => signed),
  'makes URLs of keys': resolving(plain),
  'answers headers, and the setup says what they lead to': (places) =>
    setupOf(() => ({ resolve: file }), { follow: follow(places) }),
  'answers headers, of which only the form can be seen': () => setupOf(() => ({ resolve: file })),
  'leaves everything to the registry': () => setupOf(() => ({ resolve: () => undefined }), { offloads: false }),
};

for (const [what, open] of Object.entries(SOUND)) {
  const sound = suite(`the layer suite over a handler that ${what}`);
  layerHandlerSuite(sound, open);
  sound.run();
}

/** The suite's tests, each to be run when it is wanted. */
function casesOver(open: Open): ReadonlyMap<string, () => Promise<void>> {
  const cases = new Map<string, () => Promise<void>>();
  layerHandlerSuite((name, body) => cases.set(name, body), open);
  return cases;
}

/** A front server that asks nobody. */
const heedless: Open = async ({ origin }) => {
  const server = createServer((_, response) => void response.writeHead(307, { Location: `${origin}/any` }).end());
  const port = await onFreePort(
    (free) => new Promise<number>((resolve) => server.listen(free, '127.0.0.1', () => resolve(free))),
  );
  const close = async () => void server.close();
  return setupOf(() => ({ resolve: signed }), { front: `http://127.0.0.1:${port}`, close });
};

/** Where nothing is. */
const nowhere = ({ origin }: LayerPlaces) => ({ redirect: `${origin}/nowhere` });

const stubborn: LayerHandler = { resolve: signed };
let lastKey = '';

/** A promise, and a handler that breaks it. */
const FAULTS: readonly (readonly [promise: string, open: Open])[] = [
  [
    'GET: a small blob is had whole',
    resolving((places) => (layer, request) => (layer.descriptor.size < 10 ? nowhere(places) : signed(layer, request))),
  ],
  [
    'GET: an empty blob is had whole',
    resolving(() => (layer, request) => {
      if (!layer.descriptor.size) throw new Error('a blob without a size');
      return signed(layer, request);
    }),
  ],
  [
    'GET: a large blob is had whole',
    resolving(
      (places) => (layer, request) => (layer.descriptor.size > 2 ** 20 ? nowhere(places) : signed(layer, request)),
    ),
  ],
  [
    'GET: a large blob does not pass through the registry, where the handler offloads',
    resolving(() => (layer, request) => (layer.descriptor.size > 2 ** 20 ? undefined : signed(layer, request))),
  ],
  [
    'GET: the same blob is had again, and again',
    resolving((places) => {
      const seen = new Set<string>();
      return (layer, request) => {
        if (seen.has(layer.key)) return nowhere(places);
        seen.add(layer.key);
        return signed(layer, request);
      };
    }),
  ],
  [
    'GET: a range of bytes is had: from the start, from the middle, to the end',
    resolving((places) => (layer, request) => (request.headers.range ? nowhere(places) : signed(layer, request))),
  ],
  [
    'HEAD: tells the size of a blob, without a byte of it',
    resolving(() => (layer, request) => signed(layer, { ...request, method: 'GET' })),
  ],
  [
    'at once: each of many requests is answered its own blob',
    resolving(() => async (layer, request) => {
      lastKey = layer.key;
      for (let turns = 0; turns < 10; turns++) await turn();
      return signed({ ...layer, key: lastKey }, request);
    }),
  ],
  [
    'at once: clients who go away before they are answered harm nobody',
    resolving((places) => {
      let broken = false;
      return async (layer, request) => {
        request.signal.addEventListener('abort', () => {
          broken = true;
        });
        for (let turns = 0; turns < 100; turns++) await turn();
        return broken ? nowhere(places) : signed(layer, request);
      };
    }),
  ],
  [
    'clients: whatever headers they send, or lack, they have the blob',
    resolving(() => (layer, request) => {
      const { 'user-agent': agent } = request.headers as { 'user-agent': string };
      return agent.startsWith('curl/') ? undefined : signed(layer, request);
    }),
  ],
  [
    'redirect: is a 307 to an absolute URL without credentials and fragment, has no body, and is not to be kept',
    resolving(({ origin }) => ({ key, descriptor }) => ({ redirect: `${origin}/${key}#${descriptor.digest}` })),
  ],
  [
    'answer: names the digest of the blob, wherever the bytes are',
    resolving(() => ({ key }) => ({ headers: { 'X-File': key, 'Docker-Content-Digest': 'sha256:0' } })),
  ],
  [
    'answer: holds nothing of what the client proves itself with',
    resolving(({ origin }) => ({ key }, { headers: { authorization = '' } }) => ({
      redirect: `${origin}/${key}?authorization=${encodeURIComponent(authorization)}`,
    })),
  ],
  ['authorisation: whoever has not said who it is is challenged, and sent nowhere', heedless],
  ['missing: a blob that is not there is 404, and nobody is sent after it', heedless],
  ['condition: a client that has the blob is told so', heedless],
  [
    'resolve: does not fail for the address of a client, whatever it is',
    resolving(() => (layer, request) => {
      if (isIP(request.client) === 0) throw new TypeError('the client has no address');
      return signed(layer, request);
    }),
  ],
  [
    'resolve: on a driver whose url rejects it throws, or answers what can be sent',
    resolving(({ origin }) => async (layer, request) => {
      const answer = await Promise.resolve(signed(layer, request)).catch(() => undefined);
      return answer ?? (layer.url && { redirect: `${origin}/${answer}` });
    }),
  ],
  [
    'resolve: on a driver whose url answers undefined it throws, or answers what can be sent',
    resolving(() => async ({ url, key }, { method }) => ({
      redirect: `https://cdn.example/?from=${await url?.(key, { method, expires: EXPIRES })}`,
    })),
  ],
  [
    'resolve: on a driver with neither url nor path it throws, or answers what can be sent',
    resolving(({ origin }) => ({ path, key }) => ({ redirect: `${origin}/${encodeURI(`${path?.(key)}`)}` })),
  ],
  [
    'resolve: where the names of a store have spaces, percent signs and letters of any script, what it answers can be sent',
    resolving(() => ({ path, key }) => ({ headers: { 'X-File': path?.(key) ?? key } })),
  ],
  [
    'resolve: what it throws over a URL that is none holds nothing of it',
    resolving(() => async ({ url, key }, { method }) => {
      const redirect = new URL((await url?.(key, { method, expires: EXPIRES })) ?? 'none');
      return { redirect: redirect.href };
    }),
  ],
  [
    'resolve: comes to an end when the signal is aborted',
    resolving(() => (layer, request) => {
      return request.signal.aborted ? new Promise(() => undefined) : signed(layer, request);
    }),
  ],
  [
    'resolve: changes nothing of what it is given, nor of its options',
    resolving(() => (layer, request) => {
      delete request.headers['user-agent'];
      return signed(layer, request);
    }),
  ],
  [
    'check: resolves with the store that the handler works with',
    () => setupOf(() => ({ resolve: signed, check: () => Promise.reject(new Error('not well')) })),
  ],
  [
    'check: rejects where what the driver can is not enough for the handler',
    () =>
      setupOf(() => ({
        check: async () => undefined,
        resolve: (layer, request) => {
          if (layer.url === undefined) throw new Error('the driver has no URLs');
          return signed(layer, request);
        },
      })),
  ],
  [
    'log: holds no query of a redirect, and no option that is marked secret',
    resolving((_, host) => async (layer, request) => {
      const answer = await signed(layer, request);
      host.logger.debug({ answer }, 'sent elsewhere');
      return answer;
    }),
  ],
  [
    'store: while it cannot say where its objects are, nobody is sent where nothing is',
    resolving((places) => (layer, request) => Promise.resolve(signed(layer, request)).catch(() => nowhere(places))),
  ],
  [
    'close: a closed registry has closed its handler, once, without complaint, and answers nobody',
    () => setupOf(() => ({ resolve: signed, close: () => Promise.reject(new Error('cannot close')) })),
  ],
  [
    'close: two registries with the same plugin have a handler each, and one outlives the other',
    () => setupOf(() => stubborn),
  ],
];

const faults = suite('the layer suite over handlers that break a promise');

async function breaks(promise: string, open: Open): Promise<void> {
  const body = casesOver(open).get(promise) ?? assert.fail('no such test');
  await assert.rejects(body(), (error) => error instanceof assert.AssertionError);
}

for (const [promise, open] of FAULTS) faults(promise, () => breaks(promise, open));

faults('there is a fault for each test of the suite', () => {
  assert.deepEqual(FAULTS.map(([promise]) => promise).sort(), [...casesOver(resolving(() => signed)).keys()].sort());
});

faults('credentials in a redirect are found, as a fragment is', async () => {
  await breaks(
    'redirect: is a 307 to an absolute URL without credentials and fragment, has no body, and is not to be kept',
    resolving(({ origin }) => ({ key }) => ({ redirect: `${origin.replace('//', '//user:password@')}/${key}` })),
  );
});

faults('a front server that does nothing with the headers is found', async () => {
  await breaks('GET: a small blob is had whole', ({ registry }) =>
    setupOf(() => ({ resolve: file }), { front: registry }),
  );
});

faults('a secret option in the log is found, one of a plugin within too', async () => {
  const kind = 'layer';
  const options = z.strictObject({ key: secret(z.string()) });
  const telling = definePlugin({
    kind,
    name: 'telling',
    options,
    create: ({ key }, { logger }) => {
      logger.info({ signer: `with ${key}` }, 'signing');
      return { resolve: signed };
    },
  });
  const outer = definePlugin({
    kind,
    name: 'outer',
    options: z.strictObject({ handler: pluginOf('layer') }),
    create: ({ handler }, host) => host.start(handler),
  });
  const inner = telling({ key: 'canary-of-an-option' });
  for (const layer of [inner, outer({ handler: inner })]) {
    await breaks('log: holds no query of a redirect, and no option that is marked secret', () => ({ layer }));
  }
});

faults('a skip that names no test is an error, so that none outlives its test', () => {
  const open = resolving(() => signed);
  assert.throws(() => layerHandlerSuite(faults, open, { 'no such promise': 'why not' }), /no such promise/);
});

faults('what the setup has started is ended after each test, also where it fails', async () => {
  let ended = 0;
  const close = async () => void ended++;
  const cases = casesOver(() => setupOf(() => ({ resolve: () => assert.fail('broken') }), { close }));
  for (const body of cases.values()) await body().catch(() => undefined);
  assert.equal(ended, cases.size);
});

faults.run();
