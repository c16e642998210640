// Which clients are within AWS: read in the background again and again, so that no request ever waits for it. What was
// read last serves on while a new reading fails.
import { setTimeout as sleep } from 'node:timers/promises';
import type { PluginHost } from 'koa-registry';
import { AddressTable } from './addresses.js';
import { type RangeSource, readRanges } from './range-file.js';

/** The pause after a first failure, which doubles with each further one; in milliseconds. */
const RETRY_AFTER = 60_000;

export interface AwsClientsOptions extends RangeSource {
  /** The pause after a reading that went well, and the longest after one that did not; in milliseconds. */
  readonly updateFrequency: number;
}

export class AwsClients {
  readonly #options: AwsClientsOptions;
  readonly #host: PluginHost;
  #networks = new AddressTable([]);
  #failures = 0;

  private constructor(options: AwsClientsOptions, host: PluginHost) {
    this.#options = options;
    this.#host = host;
  }

  /** Knows nobody until the first reading is over; goes on until the plugin is closed. */
  static follow(options: AwsClientsOptions, host: PluginHost): AwsClients {
    const clients = new AwsClients(options, host);
    void clients.#follow();
    return clients;
  }

  has(address: string): boolean {
    return this.#networks.has(address);
  }

  /** Never rejects. */
  async #follow(): Promise<void> {
    const { signal } = this.#host;
    while (!signal.aborted) {
      const pause = await this.#renew();
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** Answers how long to wait for the next one. */
  async #renew(): Promise<number> {
    const { updateFrequency } = this.#options;
    try {
      this.#networks = await readRanges(this.#options, this.#host.signal);
      if (this.#failures > 0) this.#host.logger.info({}, 'the addresses of AWS are read again');
      this.#failures = 0;
      return updateFrequency;
    } catch (error) {
      if (!this.#host.signal.aborted) this.#noteFailure(error);
      return Math.min(updateFrequency, RETRY_AFTER * 2 ** (this.#failures - 1));
    }
  }

  #noteFailure(error: unknown): void {
    this.#failures += 1;
    if (this.#failures > 1) return;
    const { logger } = this.#host;
    logger.warn(
      { err: error },
      'the addresses of AWS cannot be read: those read before serve on, or else CloudFront does',
    );
  }
}
