// What `storage/gcs` may be told, which of it goes together, and to whom credentials may be sent.
import { duration, secret, size } from 'koa-registry';
import { z } from 'zod';
import { MIN_PART_BYTES } from './gcs-bucket.js';

/** What decides whether requests carry credentials. */
interface AccountOptions {
  readonly keyFile?: string | undefined;
  readonly credentials?: object | undefined;
  readonly anonymous?: boolean | undefined;
}

/** The options of `storage/gcs`, by distribution's names where it has them. */
export const gcsOptions = z
  .strictObject({
    /** The bucket. It has to be there: the registry makes none. */
    bucket: z.string().regex(/^[a-z0-9._-]{1,222}$/, 'must be the name of a bucket: a-z 0-9 . _ -'),
    /** The folder above `docker/registry/v2`. Default: the bucket's root. */
    rootDirectory: z.string().default(''),
    /**
     * The path of a JSON key file. Default: the application default credentials, which are those of
     * `GOOGLE_APPLICATION_CREDENTIALS`, of gcloud, or of the machine's own account.
     */
    keyFile: z.string().min(1).optional(),
    /** What such a file says, in its place. */
    credentials: secret(z.record(z.string(), z.unknown())).optional(),
    /**
     * Where the service is, for an emulator or a private endpoint: `http://127.0.0.1:4443`. Credentials are sent
     * by `https` only, or to this machine. Default: the public one.
     */
    apiEndpoint: z.url({ protocol: /^https?$/ }).optional(),
    /**
     * Whether requests are sent without credentials, as an emulator or a public bucket wants them. Then
     * credentials, where there are any, only sign URLs. Default: whether there is an `apiEndpoint` and
     * no credentials.
     */
    anonymous: z.boolean().optional(),
    /** The project that is billed for requests, of a bucket whose requester pays. */
    userProject: z.string().min(1).optional(),
    /** How much of an upload is sent at once; each upload under way holds twice as much. From 256 KiB to 1 GiB; default: 8 MiB. */
    chunkSize: size({ min: MIN_PART_BYTES, max: '1GiB' }).prefault('8MiB'),
    /** How many requests may wait for their answer at once; others wait for their turn. Default: 50. */
    maxConcurrency: z.int().min(1).default(50),
    /**
     * How often a request is tried again that had no answer, or one of a passing failure (408, 429, 5xx).
     * The pauses begin at a quarter of a second, and double. Default: 4.
     */
    maxRetries: z.int().min(0).max(20).default(4),
    /**
     * How long the service may be silent before a request counts as failed, and how long it may take to get a
     * token or a signature; with the default credentials 5 seconds at least. Default: 30 seconds.
     */
    timeout: duration({ min: '1ms' }).prefault('30s'),
  })
  .refine(({ keyFile, credentials }) => keyFile === undefined || credentials === undefined, {
    path: ['credentials'],
    message: 'cannot stand beside keyFile',
  })
  .refine((options) => options.apiEndpoint === undefined || !exposesCredentials(options, options.apiEndpoint), {
    path: ['apiEndpoint'],
    message: 'is not encrypted, and would be sent credentials: use https, or say "anonymous: true"',
  });

export type GcsOptions = z.output<typeof gcsOptions>;

/** Whether there are credentials besides those of the environment. */
export function hasKey({ keyFile, credentials }: AccountOptions): boolean {
  return keyFile !== undefined || credentials !== undefined;
}

/** Whether requests go without credentials, to an endpoint that is or is not one of the user's own. */
export function isAnonymous(options: AccountOptions, customEndpoint: boolean): boolean {
  return options.anonymous ?? (customEndpoint && !hasKey(options));
}

/** The default credentials are looked for in files, by programs and on the machine, which takes a while; milliseconds. */
const SEARCH_TIME = 5_000;

/** How long the account may take to answer, in milliseconds. */
export function accountTimeout(options: AccountOptions & { readonly timeout: number }): number {
  return hasKey(options) ? options.timeout : Math.max(options.timeout, SEARCH_TIME);
}

const LOOPBACK = /^(?:localhost|.+\.localhost|127(?:\.\d+){3}|\[::1\])$/;

/** Whether credentials could be read by whoever is on the way to an endpoint of the user's own. */
export function exposesCredentials(options: AccountOptions, endpoint: string): boolean {
  if (!URL.canParse(endpoint)) return false;
  const { protocol, hostname } = new URL(endpoint);
  return protocol === 'http:' && !LOOPBACK.test(hostname) && !isAnonymous(options, true);
}
