// The entries of an htpasswd file: names and bcrypt hashes. A file with a line that is neither is no
// password file, and all of its bad lines are named at once, by their numbers and never by their content.

/** Who may log in. */
export interface Entries {
  /** Hashes by name, as `bcrypt` reads them. */
  readonly hashes: ReadonlyMap<string, string>;
  /** What no password matches, at the price of the most expensive of the hashes. */
  readonly decoy: string;
}

const BCRYPT = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;
const BASE64 = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** Where the cost stands in a hash, and the last character of the salt, four of whose bits mean nothing. */
const COST = { start: 4, end: 6 } as const;
const SALT_END = 28;

/**
 * Reads lines `name:hash`. As in `distribution`, white space around a line does not count, and blank
 * lines and those that begin with `#` are skipped.
 *
 * @param path what a message calls the file.
 * @throws Error with a line `<path>:<number>: <what is wrong>` for each that is bad.
 */
export function parseEntries(text: string, path: string): Entries {
  const hashes = new Map<string, string>();
  const problems: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) continue;
    const problem = addEntry(hashes, entry);
    if (problem !== undefined) problems.push(`${path}:${index + 1}: ${problem}`);
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return { hashes, decoy: decoyOf([...hashes.values()]) };
}

/** Answers what is wrong with the entry. */
function addEntry(hashes: Map<string, string>, entry: string): string | undefined {
  const colon = entry.indexOf(':');
  if (colon < 0) return 'no colon between a name and a hash';
  const name = entry.slice(0, colon);
  const hash = entry.slice(colon + 1);
  if (name === '') return 'no name';
  if (name.includes('\uFFFD')) return 'not UTF-8';
  if (!BCRYPT.test(hash)) return 'not a bcrypt hash';
  if (hashes.has(name)) return 'a name that is there already';
  hashes.set(name, normalized(hash));
  return undefined;
}

/**
 * The same hash as the package `bcrypt` would have written it, for it compares texts. It has no `$2y$`,
 * takes the length of a password modulo 256 in `$2a$`, and leaves spare bits of a salt empty, which
 * others fill: for everybody else these are one.
 */
function normalized(hash: string): string {
  const spare = BASE64.indexOf(hash.charAt(SALT_END)) % 16;
  const saltEnd = BASE64.charAt(BASE64.indexOf(hash.charAt(SALT_END)) - spare);
  return `$2b$${hash.slice(COST.start, SALT_END)}${saltEnd}${hash.slice(SALT_END + 1)}`;
}

function decoyOf(hashes: readonly string[]): string {
  const costs = hashes.map((hash) => hash.slice(COST.start, COST.end)).sort();
  return `$2b$${costs.at(-1) ?? '04'}$${'.'.repeat(53)}`;
}
