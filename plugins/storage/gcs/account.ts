// The account that requests are sent as: its tokens and its signatures, of which none is waited for
// without end, however the SDK's client gets them.
import type { Storage, StorageOptions } from '@google-cloud/storage';
import type { SigningAccount } from './url-signer.js';

type AuthClient = Storage['authClient'];

/** What the SDK is told of its own requests, which know no signal and no time. */
export function endAfter(timeout: number): Pick<StorageOptions, 'clientOptions'> {
  const transporterOptions: NonNullable<NonNullable<StorageOptions['clientOptions']>['transporterOptions']> = {
    adapter: (request, send) => send({ ...request, signal: AbortSignal.timeout(timeout) }),
  };
  return { clientOptions: { transporterOptions } };
}

export class Account implements SigningAccount {
  readonly #open: () => AuthClient;
  readonly #timeout: number;
  #client: AuthClient;

  /**
   * @param open makes a client of the account, a new one each time.
   * @param timeout how long an answer may take, in milliseconds.
   */
  constructor(open: () => AuthClient, timeout: number) {
    this.#open = open;
    this.#timeout = timeout;
    this.#client = open();
  }

  /** The headers that authorize a request. */
  headers(url: string, signal?: AbortSignal): Promise<Readonly<Record<string, string>>> {
    return this.#ask((client) => client.getRequestHeaders(url), signal);
  }

  getCredentials(): ReturnType<SigningAccount['getCredentials']> {
    return this.#ask((client) => client.getCredentials());
  }

  sign(text: string): Promise<string> {
    return this.#ask((client) => client.sign(text));
  }

  async #ask<T>(question: (client: AuthClient) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const client = this.#client;
    const waiting = new AbortController();
    const leave = () => waiting.abort(signal?.reason);
    const timer = setTimeout(() => {
      this.#giveUp(client);
      waiting.abort(new Error(`the account had no answer for ${this.#timeout} ms`));
    }, this.#timeout);
    signal?.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([question(client), abortionOf(waiting.signal)]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', leave);
    }
  }

  /** All who ask a client while it fetches a token share one promise, and that may never settle. */
  #giveUp(client: AuthClient): void {
    if (this.#client === client) this.#client = this.#open();
  }
}

function abortionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}
