// What `storage/s3` may be told, and which of it goes together.
import { duration, secret, size } from 'koa-registry';
import { z } from 'zod';

/** Those from which an object can be read at once. */
const STORAGE_CLASSES = [
  'STANDARD',
  'INTELLIGENT_TIERING',
  'STANDARD_IA',
  'ONEZONE_IA',
  'GLACIER_IR',
  'REDUCED_REDUNDANCY',
  'EXPRESS_ONEZONE',
  'OUTPOSTS',
] as const;

const ACLS = [
  'private',
  'public-read',
  'public-read-write',
  'authenticated-read',
  'aws-exec-read',
  'bucket-owner-read',
  'bucket-owner-full-control',
] as const;

/** As distribution reads it: a variable that is set to nothing says nothing. */
function emptyIsAbsent(schema: z.ZodString) {
  return schema.transform((text) => (text === '' ? undefined : text));
}

/** The options of `storage/s3`, by distribution's names where it has them. */
export const s3Options = z
  .strictObject({
    /** Has to be there; it is never made. */
    bucket: z.string().min(1),
    /** The prefix above `docker/registry/v2`; slashes around it do not count. Default: the bucket's root. */
    rootDirectory: z
      .string()
      .transform((path) => path.replace(/^\/+|\/+$/g, ''))
      .default(''),
    /** Any region, by the name that the store gives it. Default: what the environment or the profile says; `us-east-1` with an endpoint. */
    region: z.string().min(1).optional(),
    /** The URL of a store other than AWS; without a scheme, `https` (`http` with `secure: false`). */
    endpoint: z.string().min(1).optional(),
    /** The same, by distribution's name. */
    regionEndpoint: z.string().min(1).optional(),
    /** Whether the bucket stands in the path, not in the host name. Default: with an endpoint, yes. */
    forcePathStyle: z.boolean().optional(),
    /** Default, with `secretKey`: the SDK's own search through environment, profiles and roles. */
    accessKey: emptyIsAbsent(z.string()).optional(),
    secretKey: secret(emptyIsAbsent(z.string())).optional(),
    /** Of temporary keys. */
    sessionToken: secret(emptyIsAbsent(z.string())).optional(),
    /** Whether an endpoint with plain `http` is refused. */
    secure: z.boolean().default(true),
    /** Whether the certificate of the endpoint is taken as it is, unchecked. `NODE_EXTRA_CA_CERTS` is the better way. */
    skipVerify: z.boolean().default(false),
    /** Signatures are always those of version 4; `false` is refused. */
    v4Auth: z.literal(true).optional(),
    /**
     * How much of an upload one request sends, from 5 MiB to 4 GiB. Each upload under way holds five times as
     * much, and a blob may have 10,000 times that.
     */
    chunkSize: size({ min: '5MiB', max: '4GiB' }).prefault('8MiB'),
    /** Of blobs, manifests and links; what is being uploaded stands in the bucket's own class. Default: the bucket's. */
    storageClass: z.enum(STORAGE_CLASSES).optional(),
    /** Whether the store encrypts what it keeps: with `keyId` by KMS, else by AES-256. Default: as the bucket says. */
    encrypt: z.boolean().default(false),
    /** The KMS key to encrypt with. */
    keyId: z.string().min(1).optional(),
    /** A canned ACL for every object. Default: none, as a bucket without ACLs wants it. */
    objectAcl: z.enum(ACLS).optional(),
    /** Whether the dual-stack hosts of AWS are used, which have IPv6 addresses. */
    useDualStack: z.boolean().default(false),
    /** Whether the hosts of AWS are used whose cryptography is validated by FIPS 140. */
    useFipsEndpoint: z.boolean().default(false),
    /** Whether transfer acceleration is used, which the bucket has to allow. */
    accelerate: z.boolean().default(false),
    /** Said to the store besides the SDK's own name. */
    userAgent: z.string().min(1).optional(),
    /** How often a request that may be tried again is, from 0 to 10. */
    maxRetries: z.int().min(0).max(10).default(3),
    /** How long a connection may take to come about. */
    connectionTimeout: duration({ min: 1 }).prefault('5s'),
    /**
     * How long the store may take to begin its answer, the sending of a chunk or the copying of one included.
     * Default: a minute for each 256 MiB of `chunkSize`, or a part of that.
     */
    requestTimeout: duration({ min: 1 }).optional(),
  })
  .superRefine((value, context) => {
    const refuse = (option: keyof typeof value, message: string) =>
      context.addIssue({ code: 'custom', path: [option], message });
    const { endpoint, regionEndpoint, accessKey, secretKey, sessionToken } = value;
    const name = endpoint === undefined ? 'regionEndpoint' : 'endpoint';
    const url = endpointUrl(value);
    if (endpoint !== undefined && regionEndpoint !== undefined)
      refuse('regionEndpoint', 'the same as "endpoint": give one');
    if (url !== undefined && !isStoreUrl(url))
      refuse(name, 'must be an http or https URL without credentials, path or query');
    if (value.secure && url?.startsWith('http:')) refuse(name, 'is not encrypted: use https, or say "secure: false"');
    if (accessKey === undefined && secretKey !== undefined) refuse('accessKey', 'required with "secretKey"');
    if (accessKey !== undefined && secretKey === undefined) refuse('secretKey', 'required with "accessKey"');
    if (sessionToken !== undefined && accessKey === undefined) refuse('accessKey', 'required with "sessionToken"');
    if (value.keyId !== undefined && !value.encrypt) refuse('keyId', 'has no effect without "encrypt: true"');
  });

export type S3Options = z.output<typeof s3Options>;

/** How much may take a minute, in bytes. */
const BYTES_PER_MINUTE = 256 * 1024 * 1024;

/** How long a request may take, in milliseconds: what is given, or what a chunk needs. */
export function requestTimeoutOf({
  requestTimeout,
  chunkSize,
}: Pick<S3Options, 'requestTimeout' | 'chunkSize'>): number {
  return requestTimeout ?? Math.ceil(chunkSize / BYTES_PER_MINUTE) * 60_000;
}

type EndpointOptions = Pick<S3Options, 'endpoint' | 'regionEndpoint' | 'secure'>;

/** The endpoint with its scheme. */
export function endpointUrl({ endpoint, regionEndpoint = endpoint, secure }: EndpointOptions): string | undefined {
  if (regionEndpoint === undefined || regionEndpoint.includes('://')) return regionEndpoint;
  return `${secure ? 'https' : 'http'}://${regionEndpoint}`;
}

function isStoreUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, pathname, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === '' && pathname === '/';
}
