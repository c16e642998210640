// What is told of an answer that is no acceptance. The listener may say in it what it was sent: of that, nothing that
// only the two of them should know gets into a log.
import { SinkGoneError } from 'koa-registry';
import type { Answer } from './endpoint.js';
import type { WebhookOptions } from './options.js';

/** Of the answer's body, in characters. */
const EXCERPT = 200;

/** Shorter texts occur in any sentence. */
const DISTINCTIVE_LENGTH = 4;

/** What must not be told, the longest first. */
export function secretsOf({ url, headers, hmac }: Pick<WebhookOptions, 'url' | 'headers' | 'hmac'>): readonly string[] {
  const { pathname, search, searchParams } = new URL(url);
  const values = Object.values(headers).flat();
  // A scheme and a token, of which each may be told alone.
  const words = values.flatMap((value) => value.split(/\s+/));
  return [...values, ...words, hmac?.secret ?? '', pathname, search, ...searchParams.values()]
    .filter((text) => text.length >= DISTINCTIVE_LENGTH)
    .sort((a, b) => b.length - a.length);
}

/** @param secrets of {@link secretsOf}. */
export function refusal({ status, text }: Answer, secrets: readonly string[]): Error {
  const said = excerpt(text, secrets);
  const redirect = status >= 300 && status < 400 ? ', and redirects are not followed' : '';
  const message = `the listener answers ${status}${redirect}${said === '' ? '' : `: ${said}`}`;
  return status === 410 ? new SinkGoneError(message) : new Error(message);
}

function excerpt(text: string, secrets: readonly string[]): string {
  const clean = secrets.reduce((rest, secret) => rest.replaceAll(secret, '[secret]'), text);
  return clean
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim()
    .slice(0, EXCERPT);
}
