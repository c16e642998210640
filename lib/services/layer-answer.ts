// What a layer handler may answer, checked before any of it is sent: nobody has compiled every plugin.
import type { LayerAnswer } from '../contracts/layer.js';

/**
 * What may stand in a header, without credentials and fragment: a URL is sent as it is, byte for byte, as its signature
 * is over that.
 */
const URL_CHARACTERS = /^https?:\/\/[^\s/?#@]+(?:[/?][\x21\x22\x24-\x7e]*)?$/i;

/** A name and a value of a header, as Node takes them (RFC 9110, section 5): its own checks say so only by throwing. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** @throws TypeError that does not contain the answer, which may be signed. */
export function assertAnswer(answer: LayerAnswer | null | undefined): void {
  if (answer === undefined || answer === null) return;
  if (typeof answer === 'object' && 'redirect' in answer) {
    const { redirect } = answer;
    if (typeof redirect === 'string' && URL_CHARACTERS.test(redirect) && URL.canParse(redirect)) return;
    throw new TypeError(
      'the layer handler answered a redirect that is no absolute http or https URL without credentials and fragment',
    );
  }
  if (typeof answer !== 'object' || typeof answer.headers !== 'object' || answer.headers === null) {
    throw new TypeError('the layer handler answered neither a redirect nor headers');
  }
  const headers: Readonly<Record<string, unknown>> = answer.headers;
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (HEADER_NAME.test(name) && typeof value === 'string' && HEADER_VALUE.test(value)) continue;
    throw new TypeError(`the layer handler answered a header that cannot be sent: ${JSON.stringify(name)}`);
  }
}
