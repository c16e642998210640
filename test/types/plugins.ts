// What must compile and what must not: `tsc` is the test, and an unused `@ts-expect-error` its failure.
import type { StandardSchemaV1 } from '@standard-schema/spec';
import { z } from 'zod';
import type {
  AccessRequest,
  AuthHandler,
  Contracts,
  Grant,
  LayerHandler,
  StorageDriver,
} from '../../lib/contracts/index.js';
import { Challenge, RegistryError } from '../../lib/errors.js';
import { parseCredentials } from '../../lib/model/index.js';
import type { RegistryOptions } from '../../lib/options.js';
import {
  basicChallenge,
  definePlugin,
  duration,
  fromConfig,
  grantIf,
  Lifecycle,
  type Plugin,
  pluginOf,
  secret,
  startPlugin,
} from '../../lib/plugin/index.js';

declare const driver: StorageDriver;
declare const handler: LayerHandler;

const gcs = definePlugin({
  kind: 'storage',
  name: 'gcs',
  options: z.strictObject({
    bucket: z.string(),
    chunk: z.number().default(1),
    expires: duration().default(1),
    key: secret(z.string()).optional(),
  }),
  create: (options, host) => {
    const seen: { bucket: string; chunk: number; expires: number; key?: string | undefined } = options;
    host.logger.debug({ bucket: seen.bucket }, 'starting');
    // @ts-expect-error  no such option
    options.bukcet;
    return driver;
  },
});

const cdn = definePlugin({
  kind: 'layer',
  name: 'cdn',
  options: z.strictObject({ expires: z.number().optional() }),
  create: async () => handler,
});

const bare: StandardSchemaV1<{ url: string }, { url: URL }> = null as never;
const other = definePlugin({
  kind: 'layer',
  name: 'other',
  options: bare,
  create: ({ url }) => (url.href === '' ? handler : Promise.resolve(handler)),
});

const allowing = definePlugin({
  kind: 'auth',
  name: 'allowing',
  options: z.strictObject({ handler: pluginOf('auth'), layers: z.array(pluginOf('layer')).default([]) }),
  create: async ({ handler: inner, layers }, { start }) => {
    const started: AuthHandler = await start(inner);
    const [first]: LayerHandler[] = await Promise.all(layers.map((plugin) => start(plugin)));
    // @ts-expect-error  what is started is of its plugin's kind
    const wrong: StorageDriver = await start(inner);
    // @ts-expect-error  a factory is no plugin
    void [first, wrong, start(gcs)];
    return {
      check: async () => started.check?.(),
      authorize: (request) => started.authorize(request),
    };
  },
});
declare const access: AccessRequest;

/** Never run: only compiled. */
export async function mustCompile(): Promise<void> {
  gcs({ bucket: 'x' });
  gcs({ bucket: 'x', chunk: 2, expires: '20m', key: 'k' });
  cdn();
  cdn(undefined);
  cdn({});
  cdn({ expires: 5 });
  other({ url: 'x' });
  const anyPlugin: Plugin = gcs({ bucket: 'x' });
  const storage: Plugin<'storage'> = gcs({ bucket: 'x' });
  const started: StorageDriver = (await startPlugin(storage)).instance;
  const unknown: Contracts[keyof Contracts] = (await startPlugin(anyPlugin)).instance;
  const schema: z.ZodType<Plugin<'layer'>> = pluginOf('layer');
  const set = { storage, layer: undefined as Plugin<'layer'> | undefined, formats: [] as Plugin<'format'>[] };
  const { logger } = null as never as { logger: never };
  const instances = await new Lifecycle(set, { logger }).ready();
  const driverOfSet: StorageDriver = instances.storage;
  const layerOfSet: LayerHandler | undefined = instances.layer;
  const mediaTypes: readonly string[] | undefined = instances.formats[0]?.mediaTypes;
  const auth: Plugin<'auth'> = allowing({ handler: allowing({ handler: null as never, layers: [cdn()] }) });
  const grant: Grant = await grantIf(access, { name: 'alice', groups: ['ops'] }, ({ action }) => action === 'pull');
  const nobody: Grant = await grantIf(access, undefined, async () => true);
  const credentials = parseCredentials(access.ctx.headers.authorization);
  const said: string | undefined = credentials?.scheme === 'basic' ? credentials.password : undefined;
  const refusals: RegistryError[] = [
    basicChallenge('Registry'),
    new Challenge(['Basic realm="a"', 'Bearer realm="b"'], undefined, { error: 'invalid_token', actor: grant.actor }),
    new RegistryError('DENIED', { missing: grant.granted }, { actor: grant.actor }),
  ];
  void [auth, nobody, said, refusals];
  const options: RegistryOptions = fromConfig({}, [gcs, cdn, other]);
  void [options, started, unknown, schema, driverOfSet, layerOfSet, mediaTypes];
}

/** Never run: each line is an error, or the build fails. */
export function mustNotCompile(): void {
  // @ts-expect-error  a misspelt option must not compile
  gcs({ buckets: 'x' });
  // @ts-expect-error  a mistyped option
  gcs({ bucket: 5 });
  // @ts-expect-error  one option too many
  gcs({ bucket: 'x', extra: 1 });
  // @ts-expect-error  a required option is missing
  gcs({});
  // @ts-expect-error  options may not be left out where one is required
  gcs();
  // @ts-expect-error  a misspelt option where all are optional
  cdn({ expire: 5 });
  // @ts-expect-error  the schema's input, not its output
  other({ url: new URL('http://x') });
  // @ts-expect-error  a storage plugin is no layer plugin
  const layer: Plugin<'layer'> = gcs({ bucket: 'x' });
  // @ts-expect-error  any plugin is not a storage plugin
  const storage: Plugin<'storage'> = cdn() as Plugin;
  // @ts-expect-error  a factory is no plugin
  const uncalled: Plugin = gcs;
  // @ts-expect-error  an object is no plugin
  void startPlugin({ kind: 'storage', name: 'x' });
  // @ts-expect-error  instances of a set are of their kinds
  const wrong: Promise<{ storage: LayerHandler }> = new Lifecycle(
    { storage: gcs({ bucket: '' }) },
    { logger: null as never },
  ).ready();
  definePlugin({
    // @ts-expect-error  no such extension point
    kind: 'sandwich',
    name: 'x',
    options: z.strictObject({}),
    create: () => handler,
  });
  definePlugin({
    kind: 'storage',
    name: 'x',
    options: z.strictObject({}),
    // @ts-expect-error  what is created must be what the extension point asks for
    create: () => handler,
  });
  // @ts-expect-error  a storage plugin is no auth handler
  allowing({ handler: gcs({ bucket: 'x' }) });
  // @ts-expect-error  one of several is none either
  allowing({ handler: allowing({ handler: null as never }), layers: [cdn(), gcs({ bucket: 'x' })] });
  // @ts-expect-error  RFC 6750 knows no such error
  basicChallenge('Registry', { error: 'wrong_password' });
  const credentials = parseCredentials('Basic Og==');
  // @ts-expect-error  nobody, or a token, has no password
  void credentials?.password;
  // @ts-expect-error  a grant names what of the optional scopes is granted
  const grant: Grant = { actor: { name: 'alice' } };
  void [layer, storage, uncalled, wrong, grant];
}
