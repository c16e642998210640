// The plugin kernel as the rest sees it: defining plugins, checking options, starting and closing.
export { type BearerParameters, basicChallenge, bearerChallenge } from './challenges.js';
export { type Checked, checkOptions } from './check-options.js';
export type { AnyPluginFactory } from './config-document.js';
export * from './define-plugin.js';
export { deliveryOptions } from './delivery-options.js';
export { failureWithoutSecrets, reportFailure } from './failure-report.js';
export { type ConfiguredOptions, fromConfig } from './from-config.js';
export { type Allows, grantIf } from './grant-if.js';
export * from './guard-storage.js';
export * from './lifecycle.js';
export { MissingPeerError, optionalPeer } from './optional-peer.js';
export { pluginOf } from './plugin-schema.js';
export { repositoryGlob, repositoryMatcher } from './repository-glob.js';
export { redact, secret } from './secrets.js';
export { type Started, type StartOptions, startPlugin } from './start-plugin.js';
export { duration, size, type UnitBounds } from './units.js';
