// Options as values: cloned so that the caller's object is never kept, frozen so that nobody changes
// them later. Only plain objects and arrays are options; whatever lives is passed as it is.

/** An object literal, or what a JSON or YAML parser makes; never an instance of a class. */
export function isPlainObject(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // An object of another realm (a vm context) has a prototype of its own that has none.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The name of an instance's class, for messages. */
export function classNameOf(value: object): string {
  const made: unknown = Reflect.get(value, 'constructor');
  return typeof made === 'function' ? made.name : 'Object';
}

/** The enumerable keys of an object, symbols too. */
export function keysOf(value: object): PropertyKey[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

/**
 * Whether a member of options is options too: an array, or a plain object without methods. One with
 * methods (a logger, a client) is somebody's live object, whose identity and state are to be kept.
 */
export function isGroup(value: unknown): value is Readonly<Record<PropertyKey, unknown>> | readonly unknown[] {
  if (Array.isArray(value)) return true;
  return isPlainObject(value) && !keysOf(value).some((key) => typeof value[key] === 'function');
}

function mapGroup(value: object, map: (member: unknown) => unknown, copies: Map<object, unknown>): object {
  const copy: object = Array.isArray(value) ? [] : {};
  copies.set(value, copy);
  for (const key of keysOf(value)) {
    // Not by assignment: a key `__proto__` must stay a key, for the check to refuse it.
    const descriptor = { value: map(Reflect.get(value, key)), enumerable: true, writable: true, configurable: true };
    Object.defineProperty(copy, key, descriptor);
  }
  return copy;
}

/** A deep copy of an options object and the groups within, cycles included; the rest is shared. */
export function cloneOptions(options: unknown): unknown {
  const copies = new Map<object, unknown>();
  const copyMember = (member: unknown): unknown => {
    if (!isGroup(member)) return member;
    return copies.get(member) ?? mapGroup(member, copyMember, copies);
  };
  return isPlainObject(options) ? mapGroup(options, copyMember, copies) : copyMember(options);
}

/** Freezes an options object and the groups within, and answers its argument. */
export function freezeOptions<T>(options: T): T {
  if ((!Array.isArray(options) && !isPlainObject(options)) || Object.isFrozen(options)) return options;
  Object.freeze(options);
  for (const member of membersOf(options)) if (isGroup(member)) freezeOptions(member);
  return options;
}

/** Whether following the groups within `options` leads back to where one was: no schema library survives that. */
export function containsItself(options: unknown, above: readonly unknown[] = []): boolean {
  if (!Array.isArray(options) && !isPlainObject(options)) return false;
  if (above.includes(options)) return true;
  const trail = [...above, options];
  return membersOf(options).some((member) => isGroup(member) && containsItself(member, trail));
}

function membersOf(value: object): unknown[] {
  return keysOf(value).map((key): unknown => Reflect.get(value, key));
}
