// What a plugin is: a schema and a factory. Making one does no I/O; the registry starts it.
import { inspect } from 'node:util';
import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Contracts, Logger, PluginKind } from '../contracts/index.js';
import { cloneOptions, freezeOptions } from './clone-options.js';
import { CONTRACT_MEMBERS } from './contract-members.js';
import { redact } from './secrets.js';

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
  /**
   * Starts a plugin that stands among this one's options (in zod: `pluginOf('auth')`), as the registry
   * would. It is closed after this one, or when this one's `create` fails.
   *
   * @throws whatever its `create` throws; `create` had better let that pass.
   */
  start<K extends PluginKind>(plugin: Plugin<K>): Promise<Contracts[K]>;
}

export interface PluginDefinition<K extends PluginKind, S extends StandardSchemaV1> {
  /** The extension point. */
  readonly kind: K;
  /** How a configuration names it: `gcs`. Lower-case letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** Any Standard Schema (zod, valibot, arktype …) of an object. A property marked `writeOnly` is a secret. */
  readonly options: S;
  /**
   * What distribution's driver of the same name may be told and this plugin need not be: `fromConfig` leaves it out
   * of the plugin's section, where the schema does not know it. Letter case, `_` and `-` do not count.
   */
  readonly ignores?: readonly string[];
  /**
   * Whether several hosts may use at once what it stands for, as a bucket: the registry then warns of what such
   * hosts need and lack. Default: false.
   */
  readonly shared?: boolean;
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

/** Options that need not be written at all are no argument that must be. */
type FactoryArguments<Input> = Record<never, never> extends Input ? [options?: Input | undefined] : [options: Input];

/** Makes plugins of one definition; options may be left out where the schema asks for none. */
export interface PluginFactory<K extends PluginKind, S extends StandardSchemaV1> {
  (...options: FactoryArguments<StandardSchemaV1.InferInput<S>>): Plugin<K>;
  readonly definition: PluginDefinition<K, S>;
}

/** What tells a plugin from anything else, also when it comes from another copy of this package. */
const BRAND = Symbol.for('koa-registry.plugin');

/** A class, so that an options object which holds a plugin is cloned without cloning the plugin. */
class BoundPlugin<K extends PluginKind> implements Plugin<K> {
  readonly [BRAND] = true;
  readonly kind: K;
  readonly name: string;
  readonly options: unknown;
  readonly definition: PluginDefinition<K, StandardSchemaV1>;

  constructor(definition: PluginDefinition<K, StandardSchemaV1>, options: unknown) {
    this.kind = definition.kind;
    this.name = definition.name;
    this.options = freezeOptions(cloneOptions(options === undefined ? {} : options));
    this.definition = definition;
    Object.freeze(this);
  }

  /** What a log shows of it: no secret. */
  toJSON() {
    const { kind, name, definition, options } = this;
    return { kind, name, options: redact(definition.options, options) };
  }

  [inspect.custom]() {
    return this.toJSON();
  }
}

const NAME = /^[a-z0-9][a-z0-9._-]*$/;

function checkDefinition({ kind, name, options, create }: PluginDefinition<PluginKind, StandardSchemaV1>): void {
  if (typeof kind !== 'string' || !Object.hasOwn(CONTRACT_MEMBERS, kind)) {
    throw new TypeError(`a plugin's kind is one of ${Object.keys(CONTRACT_MEMBERS).join(', ')}, not ${String(kind)}`);
  }
  if (typeof name !== 'string' || !NAME.test(name)) {
    throw new TypeError(`a plugin's name is lower-case letters, digits, ".", "_" and "-", not ${String(name)}`);
  }
  if (typeof options?.['~standard']?.validate !== 'function') {
    throw new TypeError(`${kind}/${name}: options must be a Standard Schema`);
  }
  if (typeof create !== 'function') throw new TypeError(`${kind}/${name}: create must be a function`);
}

/**
 * Defines a plugin of an extension point.
 *
 * ```ts
 * export const gcs = definePlugin({
 *   kind: 'storage',
 *   name: 'gcs',
 *   options: z.strictObject({ bucket: z.string() }),
 *   create: (options, host) => new GcsDriver(options, host.logger),
 * });
 * ```
 *
 * The factory that it answers clones and freezes the options it is called with (plain objects and
 * arrays; functions, buffers, instances of classes, and members with methods are passed as they
 * are), and checks nothing: the registry does, for all plugins at once.
 *
 * @throws TypeError when the definition itself is wrong.
 */
export function definePlugin<const K extends PluginKind, S extends StandardSchemaV1>(
  definition: PluginDefinition<K, S>,
): PluginFactory<K, S> {
  checkDefinition(definition);
  const fixed = Object.freeze({ ...definition });
  const factory = (options?: unknown): Plugin<K> => new BoundPlugin(fixed, options);
  return Object.freeze(Object.assign(factory, { definition: fixed }));
}

/** Binds options to a definition, as its factory does; for options whose type is not known, such as those of a file. */
export function bindPlugin<K extends PluginKind>(
  definition: PluginDefinition<K, StandardSchemaV1>,
  options?: unknown,
): Plugin<K> {
  return new BoundPlugin(definition, options);
}

/** Whether `value` is a plugin, and one of `kind` where that is given. */
export function isPlugin<K extends PluginKind = PluginKind>(value: unknown, kind?: K): value is Plugin<K> {
  if (typeof value !== 'object' || value === null || !(BRAND in value)) return false;
  return kind === undefined || ('kind' in value && value.kind === kind);
}

/** How a plugin is called in messages and logs: `storage/gcs`. */
export function pluginLabel({ kind, name }: Pick<Plugin, 'kind' | 'name'>): string {
  return `${kind}/${name}`;
}
