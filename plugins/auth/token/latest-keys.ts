// Keys that are read again and again: those of the last reading that went well serve on while a new
// one fails, which is logged once and told to whoever asks.
import { type Logger, RegistryError } from 'koa-registry';
import { type Keys, NO_KEYS } from './trusted-keys.js';

/** Where keys come from. */
export interface KeySource {
  /** What it held when it was last looked at; the same object while nothing has changed. */
  readonly keys: Keys;
  /** Looks for changes where that is due; answers what is to be waited for, if anything. */
  look(): Promise<void> | undefined;
  /** Looks for changes now, as far as that may be done. */
  refresh(): Promise<void>;
  /** @throws RegistryError `UNAVAILABLE` when the last look failed. */
  assertWell(): void;
}

/** More than any set of keys needs. */
export const MAX_BYTES = 1 << 20;

export class LatestKeys {
  /** The option that names the source, and its value as it may be logged. */
  readonly #source: string;
  readonly #parse: (text: string) => Keys;
  readonly #logger: Logger;
  #keys = NO_KEYS;
  #text: string | undefined;
  #failure: Error | undefined;

  constructor(source: string, parse: (text: string) => Keys, logger: Logger) {
    this.#source = source;
    this.#parse = parse;
    this.#logger = logger;
  }

  get keys(): Keys {
    return this.#keys;
  }

  get failing(): boolean {
    return this.#failure !== undefined;
  }

  /** @throws Error when they cannot be read. */
  async begin(read: () => Promise<string | undefined>): Promise<void> {
    this.#failure = await this.#read(read);
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Never rejects. */
  async renew(read: () => Promise<string | undefined>): Promise<void> {
    const failure = await this.#read(read);
    if (failure !== undefined && !this.failing) {
      this.#logger.warn({ err: failure }, 'keys of tokens cannot be read again, those read before serve on');
    }
    if (failure === undefined && this.failing)
      this.#logger.info({ source: this.#source }, 'keys of tokens are read again');
    this.#failure = failure;
  }

  assertWell(): void {
    if (this.#failure !== undefined) throw new RegistryError('UNAVAILABLE', undefined, { cause: this.#failure });
  }

  /** @param read answers `undefined` where nothing can have changed. */
  async #read(read: () => Promise<string | undefined>): Promise<Error | undefined> {
    try {
      const text = await read();
      if (text === undefined || text === this.#text) return undefined;
      this.#keys = this.#parse(text);
      this.#text = text;
      return undefined;
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      return new Error(`${this.#source} ${reason}`, { cause });
    }
  }
}
