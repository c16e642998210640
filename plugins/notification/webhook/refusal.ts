// What is told of an answer that is no acceptance. The listener may say in it what it was sent: of that, nothing that
// only the two of them should know gets into a log.
import { unescape as decoded } from 'node:querystring';
import { SinkGoneError } from 'koa-registry';
import type { Answer } from './endpoint.js';
import type { WebhookOptions } from './options.js';

/** Of the answer's body, in characters. */
const EXCERPT = 200;

/** Shorter texts occur in any sentence. */
const DISTINCTIVE_LENGTH = 4;

/** Of one part of the path, which is often a word. */
const DISTINCTIVE_SEGMENT = 6;

/** What must not be told, the longest first. */
export function secretsOf({ url, headers, hmac }: Pick<WebhookOptions, 'url' | 'headers' | 'hmac'>): readonly string[] {
  const values = Object.values(headers).flat();
  // A scheme and a token, of which each may be told alone.
  const words = values.flatMap((value) => value.split(/\s+/));
  return [...values, ...words, hmac?.secret ?? '', ...partsOf(new URL(url))]
    .filter((text) => text.length >= DISTINCTIVE_LENGTH)
    .sort((a, b) => b.length - a.length);
}

/** The path and the query as they are sent and as a listener reads them, whole and in parts: any may be a secret. */
function partsOf({ pathname, search }: URL): string[] {
  const segments = pathname.split('/').flatMap((raw) => [raw, decoded(raw)]);
  // One without a value may be a secret itself.
  const values = search
    .slice(1)
    .split('&')
    .map((pair) => pair.slice(pair.indexOf('=') + 1));
  return [
    pathname,
    decoded(pathname),
    ...segments.filter((segment) => segment.length >= DISTINCTIVE_SEGMENT),
    search,
    ...values.flatMap((raw) => [raw, decoded(raw), decoded(raw.replaceAll('+', ' '))]),
  ];
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
