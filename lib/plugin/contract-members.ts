// What each extension point's contract asks of an object at run time: the types' counterpart for
// plugins that no compiler has seen.
import type { Contracts, PluginKind } from '../contracts/index.js';

/** The members that a contract requires, by kind; the optional ones are capabilities. */
export const CONTRACT_MEMBERS: { readonly [K in PluginKind]: readonly (keyof Contracts[K] & string)[] } = {
  storage: ['get', 'put', 'stat', 'list', 'open', 'append', 'commit', 'remove'],
  cache: ['get', 'set', 'delete'],
  auth: ['authorize'],
  layer: ['resolve'],
  notification: ['write'],
  queue: ['shared', 'open'],
  coordination: ['acquire'],
  format: ['mediaTypes', 'parse'],
};

/** Those members that are no methods. */
const FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  mediaTypes: Array.isArray,
  shared: (value) => typeof value === 'boolean',
};

/**
 * Asserts that what a plugin's `create` answered keeps the form of its contract.
 *
 * @throws TypeError naming the plugin and every member that it lacks.
 */
export function assertContract(kind: PluginKind, label: string, instance: unknown): void {
  if (typeof instance !== 'object' || instance === null) {
    throw new TypeError(`${label}: create answered ${instance === null ? 'null' : typeof instance}, not an object`);
  }
  const lacks = CONTRACT_MEMBERS[kind].filter((member) => {
    const value: unknown = Reflect.get(instance, member);
    return !(FIELDS[member]?.(value) ?? typeof value === 'function');
  });
  if (lacks.length === 0) return;
  const names = lacks.map((member) => (member in FIELDS ? member : `${member}()`));
  throw new TypeError(`${label}: what create answered lacks ${names.join(', ')}`);
}
