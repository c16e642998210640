// The public face of the package: the registry, the plugin kit, the contracts, the model.

export type { Counters } from './backend.js';
export type * from './contracts/index.js';
export * from './errors.js';
export type { Health } from './health.js';
export * from './model/index.js';
export type { EventListener, RegistryEvents } from './notifications/event-listeners.js';
export type { SinkMetrics } from './notifications/sink-pipeline.js';
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
  deliveryOptions,
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
export { type Registry, registry } from './registry.js';
