// What a plugin is: a schema and a factory. Making one does no I/O; the registry starts it.
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Contracts, Logger, PluginKind } from '../contracts/index.js';

/** What a plugin gets from the registry that starts it. */
export interface PluginHost {
  /** Child of the registry's logger, with the plugin's kind and name. */
  readonly logger: Logger;
  /** Aborted when the registry closes. */
  readonly signal: AbortSignal;
  /** The present time in milliseconds since 1970. */
  readonly clock: () => number;
  /** Tells several registries of one process apart. */
  readonly registry: string;
}

export interface PluginDefinition<K extends PluginKind, S extends StandardSchemaV1> {
  /** The extension point. */
  readonly kind: K;
  /** How a configuration names it: `gcs`. Lower-case letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** Any Standard Schema (zod, valibot, arktype …) of an object. A property marked `writeOnly` is a secret. */
  readonly options: S;
  /**
   * Makes what the extension point asks for; may do I/O. Called with checked options, again after a
   * backoff when it fails.
   */
  create(options: StandardSchemaV1.InferOutput<S>, host: PluginHost): Contracts[K] | Promise<Contracts[K]>;
}

/** A plugin with its options, inert until a registry starts it. */
export interface Plugin<K extends PluginKind = PluginKind> {
  readonly kind: K;
  readonly name: string;
  /** As the caller gave them, cloned and frozen; checked by the registry. */
  readonly options: unknown;
  readonly definition: PluginDefinition<K, StandardSchemaV1>;
}

/** Makes plugins of one definition; options may be left out where the schema asks for none. */
export interface PluginFactory<K extends PluginKind, S extends StandardSchemaV1> {
  // biome-ignore format: one line a case
  (...options: Partial<Record<never, never>> extends StandardSchemaV1.InferInput<S>
    ? [options?: StandardSchemaV1.InferInput<S>] : [options: StandardSchemaV1.InferInput<S>]): Plugin<K>;
  readonly definition: PluginDefinition<K, S>;
}
