// Keys in a file, read again when it changes.
import { readFile, stat } from 'node:fs/promises';
import type { PluginHost } from 'koa-registry';
import { type KeySource, LatestKeys, MAX_BYTES } from './latest-keys.js';
import type { Keys } from './trusted-keys.js';

/** In milliseconds. */
const LOOK_INTERVAL = 1_000;

export class KeyFile implements KeySource {
  readonly #path: string;
  readonly #latest: LatestKeys;
  readonly #clock: () => number;
  #lookedAt = 0;
  #version = '';
  #looking: Promise<void> | undefined;

  private constructor(option: string, path: string, parse: (text: string) => Keys, { logger, clock }: PluginHost) {
    this.#path = path;
    this.#latest = new LatestKeys(`${option} ${JSON.stringify(path)}`, parse, logger);
    this.#clock = clock;
  }

  /** @throws Error when the file cannot be read, or is not what it should be. */
  static async open(option: string, path: string, parse: (text: string) => Keys, host: PluginHost): Promise<KeyFile> {
    const file = new KeyFile(option, path, parse, host);
    file.#lookedAt = host.clock();
    await file.#latest.begin(() => file.#read());
    return file;
  }

  get keys(): Keys {
    return this.#latest.keys;
  }

  /** Whoever asks while somebody looks waits for what is found. */
  look(): Promise<void> | undefined {
    if (this.#looking === undefined && Math.abs(this.#clock() - this.#lookedAt) >= LOOK_INTERVAL) {
      this.#lookedAt = this.#clock();
      this.#looking = this.#latest
        .renew(() => this.#read())
        .finally(() => {
          this.#looking = undefined;
        });
    }
    return this.#looking;
  }

  async refresh(): Promise<void> {
    await this.look();
  }

  assertWell(): void {
    this.#latest.assertWell();
  }

  /** The content, unless the file is the one that was read well before. */
  async #read(): Promise<string | undefined> {
    const { ino, size, mtimeNs, ctimeNs } = await stat(this.#path, { bigint: true });
    const version = [ino, size, mtimeNs, ctimeNs].join();
    if (version === this.#version && !this.#latest.failing) return undefined;
    if (size > MAX_BYTES) throw new Error(`has ${size} bytes, more than ${MAX_BYTES}`);
    const text = await readFile(this.#path, 'utf8');
    this.#version = version;
    return text;
  }
}
