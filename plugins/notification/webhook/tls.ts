// How connections to a listener are encrypted: certificates and keys from the options, or from the files they name.
import { readFile } from 'node:fs/promises';
import { type ConnectionOptions, createSecureContext } from 'node:tls';
import type { WebhookOptions } from './options.js';

/** @throws Error, without a word of it, for what is no certificate, no key, or no file that can be read. */
export async function connectionOptions(tls: WebhookOptions['tls']): Promise<ConnectionOptions> {
  if (tls === undefined) return {};
  const { servername, rejectUnauthorized } = tls;
  const [ca, cert, key] = await Promise.all([pem('ca', tls.ca), pem('cert', tls.cert), pem('key', tls.key)]);
  try {
    const secureContext = createSecureContext({ ca, cert, key });
    return { secureContext, rejectUnauthorized, ...(servername !== undefined && { servername }) };
  } catch (cause) {
    throw new Error('tls: ca, cert or key is not PEM, or cert and key do not belong together', { cause });
  }
}

async function pem(option: string, text: string | undefined): Promise<string | undefined> {
  if (text === undefined || text.includes('-----BEGIN')) return text;
  try {
    return await readFile(text, 'utf8');
  } catch (error) {
    // Not the path: it may be a key that lacks the lines around it.
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`tls.${option}: no PEM, and not the path of a file that can be read (${code})`);
  }
}
