// The values of the domain: parsed once at the edge, typed after that.
export * from './credentials.js';
export * from './descriptor.js';
export * from './digest.js';
export * from './manifest.js';
export * from './media-types.js';
export * from './range.js';
export * from './reference.js';
export * from './repository-name.js';
export * from './scope.js';
