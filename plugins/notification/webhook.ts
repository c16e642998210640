// A sink that posts events to an HTTP listener, as distribution does: one message after another, in order, and each
// again until the listener answers 2xx.
import { createHmac } from 'node:crypto';
import type { OutgoingHttpHeaders } from 'node:http';
import { type Delivery, definePlugin, type NotificationSink, type RegistryEvent } from 'koa-registry';
import { Endpoint } from './webhook/endpoint.js';
import { ENVELOPE_TYPES, type WebhookOptions, webhookOptions } from './webhook/options.js';
import { refusal, secretsOf } from './webhook/refusal.js';
import { connectionOptions } from './webhook/tls.js';

class Webhook implements NotificationSink {
  readonly delivery: Partial<Delivery>;
  readonly #endpoint: Endpoint;
  readonly #options: WebhookOptions;
  readonly #secrets: readonly string[];

  constructor(options: WebhookOptions, endpoint: Endpoint) {
    this.delivery = deliveryOf(options);
    this.#endpoint = endpoint;
    this.#options = options;
    this.#secrets = secretsOf(options);
  }

  async write(events: readonly RegistryEvent[], { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const body = Buffer.from(JSON.stringify({ events }));
    const answer = await this.#endpoint.post(body, this.#headersOf(body), signal);
    if (answer.status < 200 || answer.status >= 300) throw refusal(answer, this.#secrets);
  }

  #headersOf(body: Buffer): OutgoingHttpHeaders {
    const { headers, mediaType, hmac } = this.#options;
    return {
      'User-Agent': 'koa-registry',
      ...headers,
      'Content-Type': ENVELOPE_TYPES[mediaType],
      'Content-Length': body.length,
      ...(hmac && { [hmac.header]: `sha256=${createHmac('sha256', hmac.secret).update(body).digest('hex')}` }),
    };
  }

  check({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return this.#endpoint.check(signal);
  }

  async close(): Promise<void> {
    this.#endpoint.close();
  }
}

function deliveryOf({ name, ignore, ignoredMediaTypes, ...options }: WebhookOptions): Partial<Delivery> {
  const { batch, timeout, threshold, backoff, maxBackoff, maxAttempts } = options;
  const ignored = { ...ignore, mediaTypes: [...ignore.mediaTypes, ...ignoredMediaTypes] };
  const delivery = { batch, timeout, threshold, backoff, maxBackoff, maxAttempts, ignore: ignored };
  return name === undefined ? delivery : { ...delivery, name };
}

/**
 * Posts events to a listener, in the envelope of distribution: `{"events":[…]}`.
 *
 * @see https://distribution.github.io/distribution/about/notifications/
 */
export const webhook = definePlugin({
  kind: 'notification',
  name: 'webhook',
  options: webhookOptions,
  create: async (options) => new Webhook(options, new Endpoint(options.url, await connectionOptions(options.tls))),
});
