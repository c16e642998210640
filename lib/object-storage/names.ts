// What things are called in the bucket: an object at a key, the parts of what is being appended
// there, and everything below a prefix.

/** Cannot occur in a key, and sorts before whatever may follow a name in another one. */
const PARTS = '!/';
const OFFSET_DIGITS = 15;
const FIRST_PART = `${PARTS}${'0'.repeat(OFFSET_DIGITS)}`;
const OFFSET = /^\d{15}$/;
const COMPONENT = /^(?!\.{1,2}$)[\w.-]{1,255}$/;

/** Translates between keys and names: a root directory stands before each name. */
export class Names {
  readonly #root: string;

  /** @param rootDirectory slashes before and after it mean nothing. */
  constructor(rootDirectory: string) {
    const trimmed = rootDirectory.replace(/^\/+|\/+$/g, '');
    this.#root = trimmed === '' ? '' : `${trimmed}/`;
  }

  object(key: string): string {
    return this.#root + key;
  }

  /** The beginning of all names below a prefix; `''` is the root. */
  below(key: string): string {
    return key === '' ? this.#root : `${this.#root}${key}/`;
  }

  key(name: string): string {
    return name.slice(this.#root.length);
  }
}

/** The beginning of the names of all parts of what is appended at `name`. */
export function partsPrefix(name: string): string {
  return name + PARTS;
}

export function partName(name: string, offset: number): string {
  return name + PARTS + String(offset).padStart(OFFSET_DIGITS, '0');
}

/** Where in the content the part begins that has this name; `undefined` for what is none of our parts. */
export function partOffset(part: string, name: string): number | undefined {
  const digits = part.slice(name.length + PARTS.length);
  return OFFSET.test(digits) ? Number(digits) : undefined;
}

/** Without it none of the other parts counts. */
export function isFirstPart(name: string): boolean {
  return name.endsWith(FIRST_PART);
}

/** The name of the content that an object belongs to; `undefined` for parts other than the first, which do not count alone. */
export function contentName(name: string): string | undefined {
  if (isFirstPart(name)) return name.slice(0, -FIRST_PART.length);
  return name.includes(PARTS) ? undefined : name;
}

/** Whether a text may stand between two slashes of a key. Other writers may have put anything into the bucket. */
export function isComponent(text: string): boolean {
  return COMPONENT.test(text);
}

/** The name of a child as a delimited listing shows it: `a` of `a`, `a/` and `a!/`. */
export function childName(text: string): { readonly name: string; readonly isPrefix: boolean } {
  if (text.endsWith(PARTS)) return { name: text.slice(0, -PARTS.length), isPrefix: false };
  const isPrefix = text.endsWith('/');
  return { name: isPrefix ? text.slice(0, -1) : text, isPrefix };
}
