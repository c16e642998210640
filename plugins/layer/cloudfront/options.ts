// What `layer/cloudfront` may be told, by distribution's names where it has them, and which of it goes together.
import { duration, secret } from 'koa-registry';
import { z } from 'zod';
import { isPem, KEY_FORM, parsePrivateKey } from './private-key.js';

function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === '' && !/[?#]/.test(text);
}

/** A URL without a slash at its end. */
const baseUrl = z
  .string()
  // As distribution reads it.
  .transform((text) => (text.includes('://') ? text : `https://${text}`))
  .refine(isPlainUrl, 'must be an http or https URL without credentials, query or fragment')
  .transform((text) => new URL(text).href.replace(/\/+$/, ''));

const privateKey = z
  .string()
  .refine(
    (text) => (isPem(text) ? parsePrivateKey(text) !== undefined : /^[^\n\r\0]+$/.test(text)),
    `must be ${KEY_FORM}, or the path of its file`,
  );

const regions = z
  .union([z.string(), z.array(z.string())], { error: 'must be a list of regions' })
  .transform((list) => (typeof list === 'string' ? list.split(',') : list))
  .transform((names) => names.map((name) => name.trim().toLowerCase()).filter((name) => name !== ''));

function isRangeSource(text: string): boolean {
  if (!text.includes('://')) return true;
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const { username, password } = new URL(text);
  return `${username}${password}` === '';
}

/** The options of `layer/cloudfront`. */
export const cloudfrontOptions = z
  .strictObject({
    /** Where CloudFront is, and what precedes the paths of objects there: `https://d111111abcdef8.cloudfront.net`. Without a scheme, `https`. */
    baseUrl,
    /** Which public key of CloudFront's verifies the signatures. */
    keyPairId: z.string().regex(/^[\w-]+$/, 'must be the ID of a public key'),
    /** The private half of that key: PEM, or the path of a PEM file. */
    privateKey: secret(privateKey),
    /** For how long a URL serves: a second to 52 weeks; the store's own a week at most. Default: `20m`. */
    duration: duration({ min: '1s', max: '52w' }).prefault('20m'),
    /**
     * `canned`: whoever has a URL may use it. `custom`: only the address that asked for it; where CloudFront cannot
     * see that, the registry streams. Default: `canned`.
     */
    policy: z.enum(['canned', 'custom']).default('canned'),
    /** What the distribution's origin puts before each path (its "origin path"): it is taken off the object's name. Default: nothing. */
    originPath: z
      .string()
      .transform((path) => path.replace(/^\/+|\/+$/g, ''))
      .default(''),
    /** Which clients get the URL of the store itself: none, those within AWS, or those within `awsRegion`. Default: `none`. */
    ipFilteredBy: z.enum(['none', 'aws', 'awsregion']).default('none'),
    /** Regions by their names, as a list or in one text with commas. Required with `ipFilteredBy: 'awsregion'`, and only then. */
    awsRegion: regions.default([]),
    /** The list of AWS's addresses: a URL or the path of a file. Default: where AWS publishes it. */
    ipRangesUrl: z
      .string()
      .min(1)
      .refine(isRangeSource, 'must be an http or https URL without credentials, or a path')
      .default('https://ip-ranges.amazonaws.com/ip-ranges.json'),
    /** How long after a reading of that list the next one is: a second to a week. Default: `12h`. */
    updateFrequency: duration({ min: '1s', max: '1w' }).prefault('12h'),
  })
  .superRefine(({ ipFilteredBy, awsRegion }, context) => {
    const byRegion = ipFilteredBy === 'awsregion';
    if (byRegion === awsRegion.length > 0) return;
    const message = byRegion
      ? `required with "ipFilteredBy: 'awsregion'"`
      : `has no effect without "ipFilteredBy: 'awsregion'"`;
    context.addIssue({ code: 'custom', path: ['awsRegion'], message });
  });

/** As checked: durations in milliseconds, no slash at the end of `baseUrl` nor around `originPath`. */
export type CloudFrontOptions = z.output<typeof cloudfrontOptions>;
