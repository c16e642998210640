// What `notification/webhook` may be told, by distribution's names where it has them, and which of it goes together.
import { deliveryOptions, secret } from 'koa-registry';
import { z } from 'zod';

/** The media type of what is sent; the fields are the same, distribution only renamed it. */
export const ENVELOPE_TYPES = {
  v1: 'application/vnd.docker.distribution.events.v1+json',
  v2: 'application/vnd.docker.distribution.events.v2+json',
} as const;

/** What the message itself says, or the connection. */
const OWN_HEADERS: readonly string[] = [
  'connection',
  'content-length',
  'content-type',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
];

const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/;

/** What is wrong with the name of a header. */
function wrongName(name: string): string | undefined {
  if (!HEADER_NAME.test(name)) return 'must be the name of a header';
  return OWN_HEADERS.includes(name.toLowerCase()) ? 'is not for you to say' : undefined;
}

const headerName = z.string().superRefine((name, context) => {
  const message = wrongName(name);
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

const headerValue = z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/, 'must be the value of a header, on one line');

/** The names are looked at here: of a record's keys zod says only that one is wrong. */
const headers = z
  .record(z.string(), secret(z.union([headerValue, z.array(headerValue)])))
  .superRefine((given, context) => {
    const known = new Set<string>();
    for (const name of Object.keys(given)) {
      const twice = known.has(name.toLowerCase()) ? 'is there twice: give it a list' : undefined;
      const message = wrongName(name) ?? twice;
      if (message !== undefined) context.addIssue({ code: 'custom', path: [name], message });
      known.add(name.toLowerCase());
    }
  });

function isListener(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return `${username}${password}` === '' && !text.includes('#');
}

const tls = z
  .strictObject({
    /** The certificates that may have signed the listener's: PEM, or a path. Default: those that Node trusts. */
    ca: z.string().min(1).optional(),
    /** The certificate that the listener may ask for, and those between it and its authority: PEM, or a path. */
    cert: z.string().min(1).optional(),
    /** Its key: PEM without a passphrase, or a path. */
    key: secret(z.string().min(1)).optional(),
    /** The name that the listener's certificate must have. Default: the host's. */
    servername: z.string().min(1).optional(),
    /** Whether the listener's certificate is looked at; without, anybody on the way may be the listener. Default: true. */
    rejectUnauthorized: z.boolean().default(true),
  })
  .refine(({ cert, key }) => (cert === undefined) === (key === undefined), 'cert and key go together');

const hmac = z.strictObject({
  /** Known to the listener, too: long and random. */
  secret: secret(z.string().min(1)),
  /** The header that has the signature. Default: `X-Hub-Signature-256`, as listeners for other webhooks know it. */
  header: headerName.default('X-Hub-Signature-256'),
});

/** The options of `notification/webhook`. */
export const webhookOptions = z
  .strictObject({
    ...deliveryOptions(),
    /** Where events are sent. Its path and query may be as good as a password: no log has them. */
    url: secret(z.string().refine(isListener, 'must be an http or https URL without credentials or fragment')),
    /** Sent with each POST: a text, or several for a header that is sent several times. */
    headers: headers.default({}),
    /** By which name the media type of the message goes: `v2` or `v1`. Default: `v2`. */
    mediaType: z.enum(['v2', 'v1']).default('v2'),
    /** How the connection is encrypted, where the URL begins with `https`. */
    tls: tls.optional(),
    /** Signs each message, so that the listener knows from whom it is: HMAC-SHA256 over its bytes. */
    hmac: hmac.optional(),
    /** Distribution's older name for `ignore.mediaTypes`: both are meant. */
    ignoredMediaTypes: z.array(z.string().min(1)).default([]),
  })
  .superRefine(({ url, headers, tls, hmac }, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (tls !== undefined && !/^https:/i.test(url)) refuse(['tls'], 'has no effect without an https URL');
    const names = Object.keys(headers).map((name) => name.toLowerCase());
    if (hmac !== undefined && names.includes(hmac.header.toLowerCase()))
      refuse(['hmac', 'header'], 'is one of "headers", too');
  });

/** As checked: durations in milliseconds. */
export type WebhookOptions = z.output<typeof webhookOptions>;
