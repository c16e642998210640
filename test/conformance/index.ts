// `koa-registry/conformance`: the suites that check a plugin against its contract, one for each kind.
export * from './auth.js';
export * from './cache.js';
export * from './coordination.js';
export * from './event-queue.js';
export * from './late.js';
export { LateStorage } from './late-storage.js';
export * from './layer.js';
export * from './notification-sink.js';
export * from './storage.js';
