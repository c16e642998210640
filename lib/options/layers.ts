// The options that say when clients are sent elsewhere for the bytes of a blob, and where.
import { RE2JS } from 're2js';
import { z } from 'zod';
import { OptionsError } from '../errors.js';
import { checkOptions, repositoryGlob, size } from '../plugin/index.js';

/** An address, or a network such as `10.0.0.0/8`. */
const network = z.union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], {
  error: 'must be an address, or a network such as "10.0.0.0/8"',
});

/** When the layer handler is asked. */
export const offload = z.strictObject({
  /** Smaller blobs are streamed by the registry, in bytes. Default: 0. */
  minSize: size().default(0),
  /** Whether HEAD is sent elsewhere, too, which the registry could answer without a byte. Default: true. */
  head: z.boolean().default(true),
  /** Clients that get the bytes from the registry itself. */
  spare: z
    .strictObject({
      /** Texts that their `User-Agent` contains, in any case. */
      userAgents: z.array(z.string().min(1)).default([]),
      /** Their addresses, or networks such as `10.0.0.0/8`. */
      addresses: z.array(network).default([]),
    })
    .prefault({}),
  /** What becomes of a request when the layer handler fails: `stream` it, or `unavailable`, a 503. Default: `stream`. */
  onFailure: z.enum(['stream', 'unavailable']).default('stream'),
});

/** RE2's syntax, which is Go's and so distribution's; whatever a client sends, it is tested in linear time. */
function compile(given: string | RegExp): RE2JS | undefined {
  try {
    if (typeof given === 'string') return RE2JS.compile(given);
    return RE2JS.compile(given.source, given.flags.includes('i') ? RE2JS.CASE_INSENSITIVE : 0);
  } catch {
    return undefined;
  }
}

/** A regular expression that a URL is tested with, anywhere unless it has anchors. */
const pattern = z
  .custom<string | RegExp>(
    (given) => typeof given === 'string' || given instanceof RegExp,
    'must be a regular expression',
  )
  .transform((given, context) => {
    const compiled = compile(given);
    if (compiled !== undefined) return { test: (text: string) => compiled.matcher(text).find() };
    context.addIssue({
      code: 'custom',
      message: 'must be a regular expression as RE2 knows it: without look-around and back-references',
    });
    return z.NEVER;
  });

const hostName = z.string().regex(/^[\w-]+(?:\.[\w-]+)*$/);

/** Which URLs a manifest may name. */
export const urls = z.strictObject({
  /** Where it is given, only URLs that one of these patterns matches. Default: URLs of all hosts. */
  allow: z.array(pattern).optional(),
  /** No URL that one of these patterns matches. */
  deny: z.array(pattern).default([]),
  /**
   * Names, addresses and networks on which a URL may be though they are internal (`localhost`, `10.0.0.0/8`,
   * `mirror.corp`); names are not looked up. Default: none.
   */
  internalHosts: z
    .array(z.union([network, hostName], { error: 'must be the name of a host, an address, or a network' }))
    .default([]),
});

const PLACEHOLDER = /\{(\w*)\}/g;
const PLACEHOLDERS = ['repository', 'digest', 'key'];

const siteUrl = z
  .string()
  .refine(
    (text) => /^https?:\/\/[^/?#{}@\s]+\/[^#\s]*$/.test(text) && URL.canParse(text.replaceAll(/[{}]/g, '')),
    'must be an http or https URL without credentials and fragment, with a path',
  )
  .refine(
    (text) => [...text.matchAll(PLACEHOLDER)].every(([, name = '']) => PLACEHOLDERS.includes(name)),
    'knows only the placeholders {repository}, {digest} and {key}',
  )
  .refine((text) => /\{(?:digest|key)\}/.test(text), 'must contain {digest} or {key}');

/** A site that has layers which are not here. */
const site = z
  .strictObject({
    /** Globs of repositories whose layers may be there: `vendor/**`. Default: all, with `mediaTypes`. */
    repositories: z.array(repositoryGlob()).min(1).optional(),
    /** The media types of layers that may be there. Default: all, with `repositories`. */
    mediaTypes: z.array(z.string().min(1)).min(1).optional(),
    /**
     * Where a layer is there, with `{repository}` and `{digest}`, or `{key}` for its key in the layout of the
     * store: `https://registry.vendor.example/v2/{repository}/blobs/{digest}`.
     */
    url: siteUrl,
  })
  .refine(({ repositories, mediaTypes }) => repositories !== undefined || mediaTypes !== undefined, {
    message: 'is for nothing: say repositories or mediaTypes',
  });

/** The sites, in the order in which they are asked. */
export const federation = z.array(site).default([]);

const federationAlone = z.strictObject({ federation });

/** @throws OptionsError with everything that is wrong with the sites. */
export function resolveFederation(sites: z.input<typeof federation>): z.output<typeof federation> {
  const { value, problems } = checkOptions(federationAlone, { federation: sites });
  if (problems !== undefined) throw new OptionsError(problems);
  return value.federation;
}
