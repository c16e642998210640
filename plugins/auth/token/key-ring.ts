// All sources of keys as one: which keys are trusted now, and which of them a token means.
import { keyOfChain } from './certificates.js';
import type { KeySource } from './latest-keys.js';
import { KeySet, type Keys, type TrustedKey } from './trusted-keys.js';

/** What a token's header says of its key. Nothing of it is believed. */
export interface KeyHints {
  /** What it calls its key. */
  readonly names: readonly string[];
  /** A chain of certificates, the first of which is its key's. */
  readonly x5c?: unknown;
}

export class KeyRing {
  readonly #sources: readonly KeySource[];
  readonly #clock: () => number;
  #parts: readonly Keys[] = [];
  #set = new KeySet([]);

  constructor(sources: readonly KeySource[], clock: () => number) {
    this.#sources = sources;
    this.#clock = clock;
  }

  /** What is trusted now; the same object while nothing has changed. At once, unless a source has to be looked at. */
  current(): KeySet | Promise<KeySet> {
    let looks: Promise<void>[] | undefined;
    for (const source of this.#sources) {
      const look = source.look();
      if (look !== undefined) looks = [...(looks ?? []), look];
    }
    return looks === undefined ? this.#assemble() : Promise.all(looks).then(() => this.#assemble());
  }

  #assemble(): KeySet {
    if (this.#sources.some((source, index) => source.keys !== this.#parts[index])) {
      this.#parts = this.#sources.map(({ keys }) => keys);
      this.#set = new KeySet(this.#parts);
    }
    return this.#set;
  }

  /**
   * The trusted keys that a token may have been signed with; none where it names one that is not.
   *
   * @throws RegistryError `UNAVAILABLE` when it names a key that may be trusted, and the source that
   *   would know cannot be asked.
   */
  async meant(hints: KeyHints): Promise<readonly TrustedKey[]> {
    const set = await this.current();
    const known = this.#find(set, hints);
    if (known.length > 0 || hints.names.length === 0) return known;
    await this.#refresh();
    const found = this.#find(await this.current(), hints);
    if (found.length === 0) this.#assertWell();
    return found;
  }

  /** @throws RegistryError `UNAVAILABLE` when a source cannot be asked. */
  async check(): Promise<void> {
    await this.#refresh();
    this.#assertWell();
  }

  async #refresh(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.refresh()));
  }

  #assertWell(): void {
    for (const source of this.#sources) source.assertWell();
  }

  #find(set: KeySet, { names, x5c }: KeyHints): readonly TrustedKey[] {
    if (names.length === 0 && x5c === undefined) return set.keys;
    const named = names.flatMap((name) => set.named(name));
    if (named.length > 0 || x5c === undefined) return named;
    const key = keyOfChain(x5c, set.anchors, this.#clock());
    return key === undefined ? [] : [key];
  }
}
