// Options as values: cloned so that the caller's object is never kept, frozen so that nobody changes
// them later. Only plain objects and arrays are options; everything else is passed as it is.

/** An object literal, or what a JSON or YAML parser makes; never an instance of a class. */
export function isPlainObject(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  // An object of another realm (a vm context) has a prototype of its own that has none.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The enumerable keys of an object, symbols too. */
export function keysOf(value: object): PropertyKey[] {
  return Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));
}

/** A deep copy of plain objects and arrays, cycles included; the rest is shared. */
export function cloneOptions<T>(value: T, copies?: Map<object, unknown>): T;
export function cloneOptions(value: unknown, copies = new Map<object, unknown>()): unknown {
  if (!Array.isArray(value) && !isPlainObject(value)) return value;
  const known = copies.get(value);
  if (known !== undefined) return known;
  const copy: object = Array.isArray(value) ? [] : {};
  copies.set(value, copy);
  for (const key of keysOf(value)) {
    // Not by assignment: a key `__proto__` must stay a key, for the check to refuse it.
    Object.defineProperty(copy, key, {
      value: cloneOptions(Reflect.get(value, key), copies),
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return copy;
}

/** Freezes plain objects and arrays, all the way down, and answers its argument. */
export function freezeOptions<T>(value: T): T {
  if ((!Array.isArray(value) && !isPlainObject(value)) || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const key of keysOf(value)) freezeOptions(Reflect.get(value, key));
  return value;
}

/** Whether following the members of `value` leads back to where one was: no schema library survives that. */
export function containsItself(value: unknown, above: readonly unknown[] = []): boolean {
  if (!Array.isArray(value) && !isPlainObject(value)) return false;
  if (above.includes(value)) return true;
  const trail = [...above, value];
  return keysOf(value).some((key) => containsItself(Reflect.get(value, key), trail));
}
