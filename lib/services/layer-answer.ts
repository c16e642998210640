// What a layer handler may answer, checked before any of it is sent: nobody has compiled every plugin.
import { validateHeaderName, validateHeaderValue } from 'node:http';
import type { LayerAnswer } from '../contracts/layer.js';

/**
 * What may stand in a header, without credentials and fragment: a URL is sent as it is, byte for byte, as its signature
 * is over that.
 */
const URL_CHARACTERS = /^https?:\/\/[^\s/?#@]+(?:[/?][\x21\x22\x24-\x7e]*)?$/i;

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
  for (const [name, value] of Object.entries(answer.headers)) {
    if (isHeader(name, value)) continue;
    throw new TypeError(`the layer handler answered a header that cannot be sent: ${JSON.stringify(name)}`);
  }
}

function isHeader(name: string, value: unknown): boolean {
  try {
    validateHeaderName(name);
    if (typeof value !== 'string') return false;
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}
