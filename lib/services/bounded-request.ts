// Whoever asks for a blob, as a layer handler sees it: with a signal that ends the handler's time, too.
import type { LayerRequest } from '../contracts/layer.js';

/** A request whose signal is aborted, too, when the handler has taken too long. Made only when asked for. */
export class BoundedRequest implements LayerRequest {
  readonly method: LayerRequest['method'];
  readonly client: string;
  readonly headers: LayerRequest['headers'];
  readonly #request: LayerRequest;
  #controller: AbortController | undefined;
  #expired: Error | undefined;

  constructor(request: LayerRequest) {
    this.method = request.method;
    this.client = request.client;
    this.headers = request.headers;
    this.#request = request;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      const controller = new AbortController();
      const { signal } = this.#request;
      if (this.#expired !== undefined) controller.abort(this.#expired);
      else if (signal.aborted) controller.abort(signal.reason);
      else signal.addEventListener('abort', () => controller.abort(signal.reason), { once: true });
      this.#controller = controller;
    }
    return this.#controller.signal;
  }

  /** Whether the client went away while a handler that looks at the signal was at work. */
  get isAbandoned(): boolean {
    return this.#controller !== undefined && this.#request.signal.aborted;
  }

  expire(reason: Error): void {
    this.#expired = reason;
    this.#controller?.abort(reason);
  }
}
