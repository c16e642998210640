// A password file that others may rewrite, replace or take away at any time: looked at once a second
// at most, by whoever asks. While it is bad or gone, what was last read well stays in force.
import type { BigIntStats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { PluginHost } from 'koa-registry';
import { type Entries, parseEntries } from './entries.js';

type Host = Pick<PluginHost, 'logger' | 'clock'>;

/** For how long a look is good enough, in milliseconds. */
const LOOK_INTERVAL = 1_000;

/**
 * How coarse a file system's times may be, in milliseconds: what changed so lately may change again
 * without its times telling, and is read again instead.
 */
const COARSEST_TIME = 2_000;

export class EntriesFile {
  readonly #path: string;
  readonly #host: Host;
  #entries: Entries = { hashes: new Map(), decoy: '' };
  /** What was seen, be it an error; `undefined` where the file may change and look the same. */
  #look: string | undefined;
  #text: string | undefined;
  #problem: unknown;
  #lookedAt = 0;
  #looking: Promise<void> | undefined;

  private constructor(path: string, host: Host) {
    this.#path = path;
    this.#host = host;
  }

  /** @throws Error when the file cannot be read or is bad, naming it and each bad line's number. */
  static async open(path: string, host: Host): Promise<EntriesFile> {
    const file = new EntriesFile(path, host);
    await file.#readIfChanged();
    return file;
  }

  /** The entries as they were at most a second ago. Many who ask at once share one look. */
  current(): Entries | Promise<Entries> {
    const age = this.#host.clock() - this.#lookedAt;
    if (age >= LOOK_INTERVAL || age < 0) {
      this.#looking ??= this.#lookAgain().finally(() => {
        this.#looking = undefined;
      });
    }
    return this.#looking === undefined ? this.#entries : this.#looking.then(() => this.#entries);
  }

  /** @throws Error while the entries in force are not those of the file, saying why. */
  async check(): Promise<void> {
    await this.current();
    if (this.#problem !== undefined) throw this.#problem;
  }

  async #lookAgain(): Promise<void> {
    const { logger } = this.#host;
    try {
      if (!(await this.#readIfChanged())) return;
      this.#problem = undefined;
      logger.info({ path: this.#path, users: this.#entries.hashes.size }, 'the password file has changed');
    } catch (error) {
      this.#problem = error;
      logger.error({ err: error }, 'the password file is unusable: what it held before stays in force');
    }
  }

  /** Whether there was something new; what is bad is new, and thrown, only once. */
  async #readIfChanged(): Promise<boolean> {
    this.#lookedAt = this.#host.clock();
    const text = await this.#changedText();
    if (text === undefined) return false;
    this.#entries = parseEntries(text, this.#path);
    return true;
  }

  async #changedText(): Promise<string | undefined> {
    try {
      // In this order, so that a change in between is seen by the next look.
      const found = await stat(this.#path, { bigint: true });
      const look = lookOf(found);
      if (look === this.#look) return undefined;
      if (!found.isFile()) throw new Error('not a file');
      const text = await readFile(this.#path, 'utf8');
      this.#look = hasRested(found) ? look : undefined;
      if (text === this.#text) return undefined;
      this.#text = text;
      return text;
    } catch (cause) {
      const look = String(cause);
      if (look === this.#look) return undefined;
      this.#look = look;
      this.#text = undefined;
      throw new Error(`${this.#path}: cannot be read`, { cause });
    }
  }
}

/** Differs when another file stands there, whichever way it came, and when the same one was written to. */
function lookOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
}

/** The file's times are those of the system, whatever the registry's clock says. */
function hasRested({ ctimeMs }: BigIntStats): boolean {
  return Date.now() - Number(ctimeMs) > COARSEST_TIME;
}
