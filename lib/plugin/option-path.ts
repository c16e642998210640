// Where an option stands, written as JavaScript writes it: `sinks[1].url`.

/** The keys from an options object down to one of its members. */
export type OptionPath = readonly PropertyKey[];

const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$-]*$/u;

function formatKey(key: PropertyKey): string {
  if (typeof key === 'symbol') return `[${String(key)}]`;
  if (typeof key === 'number') return `[${key}]`;
  return IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/**
 * `formatPath(['sinks', 1, 'url'], 'notifications')` is `notifications.sinks[1].url`. A key with a
 * hyphen, such as a plugin's name, is written like any other.
 *
 * @param base a path that is already written; `''` for none.
 */
export function formatPath(path: OptionPath, base = ''): string {
  const text = base + path.map(formatKey).join('');
  return text.startsWith('.') ? text.slice(1) : text;
}
