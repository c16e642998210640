// What a client says of itself in `Authorization` (RFC 9110, section 11.6.2).

/** Credentials as they were sent; nothing of them is verified. */
export type Credentials =
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }
  /** Of a scheme that no registry client uses, or malformed: nobody's credentials. */
  | { readonly scheme: 'unknown' };

const HEADER = /^([!#$%&'*+.^_`|~\w-]+) +([\w.~+/-]+=*) *$/;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
const UNKNOWN: Credentials = { scheme: 'unknown' };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads the value of an `Authorization` header: Basic (RFC 7617, in UTF-8) or Bearer (RFC 6750,
 * section 2.1).
 *
 * `undefined` stands for a caller who says nothing of itself: there is no header, or it is Basic with
 * neither name nor password, which is what clients send that were configured so. Never throws:
 * whatever cannot be read is of the scheme `unknown`.
 */
export function parseCredentials(header: string | undefined): Credentials | undefined {
  if (header === undefined || header === '') return undefined;
  const [, scheme = '', value = ''] = HEADER.exec(header) ?? [];
  switch (scheme.toLowerCase()) {
    case 'basic':
      return parseBasic(value);
    case 'bearer':
      return { scheme: 'bearer', token: value };
    default:
      return UNKNOWN;
  }
}

function parseBasic(value: string): Credentials | undefined {
  const text = decode(value);
  if (text === ':') return undefined;
  const colon = text?.indexOf(':') ?? -1;
  if (text === undefined || colon < 0) return UNKNOWN;
  return { scheme: 'basic', user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** What base64 stands for, if that is text without control characters, as RFC 7617 asks. */
function decode(value: string): string | undefined {
  if (!BASE64.test(value)) return undefined;
  try {
    const text = utf8.decode(Buffer.from(value, 'base64'));
    return hasControls(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

function hasControls(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}
