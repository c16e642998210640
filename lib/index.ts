// The public face of the package: the registry, the plugin kit, the contracts, the model.
export type * from './contracts/index.js';
export * from './errors.js';
export type { Health } from './health.js';
export * from './model/index.js';
export * from './object-storage/index.js';
export type { RegistryOptions } from './options.js';
export {
  type Allows,
  type AnyPluginFactory,
  type BearerParameters,
  basicChallenge,
  bearerChallenge,
  type Checked,
  checkOptions,
  definePlugin,
  duration,
  fromConfig,
  grantIf,
  isPlugin,
  MissingPeerError,
  optionalPeer,
  type Plugin,
  type PluginDefinition,
  type PluginFactory,
  type PluginHost,
  pluginOf,
  redact,
  repositoryGlob,
  repositoryMatcher,
  type Started,
  type StartOptions,
  secret,
  size,
  startPlugin,
} from './plugin/index.js';
export { type Counters, type Registry, registry } from './registry.js';
