// The client of the SDK, as the options want it, and the sockets that it keeps.
import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { S3, S3ClientConfig } from '@aws-sdk/client-s3';
import { codeOf } from './errors.js';

/** How to reach the store; the plugin's options say what each means. */
export interface ConnectionOptions {
  readonly region?: string | undefined;
  /** With its scheme. */
  readonly endpoint?: string | undefined;
  readonly forcePathStyle?: boolean | undefined;
  readonly accessKey?: string | undefined;
  readonly secretKey?: string | undefined;
  readonly sessionToken?: string | undefined;
  readonly skipVerify: boolean;
  readonly useDualStack: boolean;
  readonly useFipsEndpoint: boolean;
  readonly accelerate: boolean;
  readonly userAgent?: string | undefined;
  readonly maxRetries: number;
  readonly connectionTimeout: number;
  readonly requestTimeout: number;
}

/** What a signature needs where a store of one's own has no regions: its name for the first of them. */
const ANY_REGION = 'us-east-1';

/** After this long without a byte either way, in milliseconds, a connection in use counts as broken. */
const IDLE_TIMEOUT = 300_000;

/** Sockets that wait for the next request; there may be as many in use as there are pushes and pulls. */
const FREE_SOCKETS = 128;

/**
 * What versitygw, which keeps objects as files, answers to a write while another request removes the folder that it was
 * to stand in, empty by then. The next try makes the folder again.
 */
const BESIDE_REMOVAL = 'ExistingObjectIsDirectory';

export interface Connection {
  readonly s3: S3;
  /** Lets go of the sockets: of those in use, each as soon as its request has ended. */
  close(): void;
}

/** @param Client the class `S3` of `@aws-sdk/client-s3`, which is loaded where it is needed. */
export function connect(Client: new (config: S3ClientConfig) => S3, options: ConnectionOptions): Connection {
  // Agents of our own: the SDK would open a new connection for each large write.
  const agents = [
    new Agent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS }),
    new SecureAgent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS, rejectUnauthorized: !options.skipVerify }),
  ] as const;
  const s3 = new Client({
    ...whereabouts(options),
    ...credentials(options),
    ...(options.userAgent === undefined ? {} : { customUserAgent: options.userAgent }),
    maxAttempts: options.maxRetries + 1,
    // Newer checksums are refused by older stores; TLS and the signature guard the content.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // A round trip more for each part, to learn what the signature of the next request would tell too.
    expectContinueHeader: false,
    requestHandler: {
      httpAgent: agents[0],
      httpsAgent: agents[1],
      connectionTimeout: options.connectionTimeout,
      requestTimeout: options.requestTimeout,
      throwOnRequestTimeout: true,
      socketTimeout: IDLE_TIMEOUT,
    },
  });
  s3.middlewareStack.add(
    (next) => (request) =>
      next(request).catch((error: unknown) => {
        throw codeOf(error) === BESIDE_REMOVAL ? Object.assign(error as Error, { $retryable: {} }) : error;
      }),
    { step: 'deserialize', priority: 'high', name: 'besideRemoval' },
  );
  return { s3, close: () => agents.forEach(release) };
}

function whereabouts(options: ConnectionOptions): S3ClientConfig {
  const { endpoint, region = endpoint && ANY_REGION, forcePathStyle = endpoint !== undefined } = options;
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle,
    useDualstackEndpoint: options.useDualStack,
    useFipsEndpoint: options.useFipsEndpoint,
    useAccelerateEndpoint: options.accelerate,
  };
}

/** Without keys the SDK looks where it always does: environment, profiles, roles. */
function credentials({ accessKey, secretKey, sessionToken }: ConnectionOptions): S3ClientConfig {
  if (accessKey === undefined || secretKey === undefined) return {};
  const keys = { accessKeyId: accessKey, secretAccessKey: secretKey };
  return { credentials: sessionToken === undefined ? keys : { ...keys, sessionToken } };
}

/** Unlike the agent's own `destroy`, which would cut off streams that are still read. */
function release(agent: Agent | SecureAgent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}
