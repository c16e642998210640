// A layer handler that sends clients to CloudFront, whose origin is the registry's own bucket, by signed URLs; and
// those within AWS, where that is wanted, to the bucket itself.
import {
  definePlugin,
  type Layer,
  type LayerAnswer,
  type LayerHandler,
  type LayerRequest,
  type LayerStore,
  type Logger,
  optionalPeer,
  type PluginHost,
} from 'koa-registry';
import { delegate } from 'koa-registry/plugins/layer/delegate';
import { publicIpv4 } from './cloudfront/addresses.js';
import { AwsClients } from './cloudfront/aws-clients.js';
import { type CloudFrontOptions, cloudfrontOptions } from './cloudfront/options.js';
import { loadPrivateKey } from './cloudfront/private-key.js';
import { UrlSigner } from './cloudfront/url-signer.js';

/** A key such as each blob has. */
const ANY_KEY = `docker/registry/v2/blobs/sha256/00/${'0'.repeat(64)}/data`;

/** An address that is nobody's (RFC 5737). */
const NOBODY = '192.0.2.1';

/** The longest that a store signs for, in milliseconds. */
const STORE_LONGEST = 7 * 24 * 60 * 60 * 1000;

/** The way past CloudFront. */
interface WithinAws {
  readonly clients: AwsClients;
  /** Answers the store's own URLs. */
  readonly store: LayerHandler;
}

interface CloudFrontParts {
  readonly options: CloudFrontOptions;
  readonly signer: UrlSigner;
  readonly withinAws: WithinAws | undefined;
  readonly log: Logger;
}

class CloudFront implements LayerHandler {
  readonly #options: CloudFrontOptions;
  readonly #signer: UrlSigner;
  readonly #withinAws: WithinAws | undefined;
  readonly #log: Logger;
  #hasTold = false;

  constructor({ options, signer, withinAws, log }: CloudFrontParts) {
    this.#options = options;
    this.#signer = signer;
    this.#withinAws = withinAws;
    this.#log = log;
  }

  resolve(layer: Layer, request: LayerRequest): Promise<LayerAnswer | undefined> | LayerAnswer | undefined {
    if (this.#withinAws?.clients.has(request.client)) return this.#toStore(this.#withinAws, layer, request);
    return this.#toCloudFront(layer, layer.key, request.client);
  }

  async check(store: LayerStore): Promise<void> {
    this.#toCloudFront(store, ANY_KEY, NOBODY);
  }

  async #toStore({ store }: WithinAws, layer: Layer, request: LayerRequest): Promise<LayerAnswer | undefined> {
    try {
      return await store.resolve(layer, request);
    } catch (error) {
      this.#tellOnce(error);
      return this.#toCloudFront(layer, layer.key, request.client);
    }
  }

  /** The line is for whoever wonders why the store has nothing to do. */
  #tellOnce(error: unknown): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    this.#log.warn({ err: error }, 'the store has no URL for clients within AWS: they go to CloudFront, too');
  }

  /** The signature does not contain the method: one URL serves GET and HEAD. */
  #toCloudFront(store: LayerStore, key: string, client: string): LayerAnswer | undefined {
    const url = this.#urlOf(store, key);
    if (this.#options.policy === 'canned') return { redirect: this.#signer.sign(url) };
    const address = publicIpv4(client);
    return address === undefined ? undefined : { redirect: this.#signer.sign(url, address) };
  }

  /** @throws Error when the object is not below the origin path. */
  #urlOf(store: LayerStore, key: string): string {
    const { baseUrl, originPath } = this.#options;
    const path = store.path?.(key) ?? key;
    // Where files are is the affair of this host: an origin that has them has them by their keys.
    const name = path.startsWith('/') ? key : path;
    if (originPath !== '' && !name.startsWith(`${originPath}/`)) {
      throw new Error(`originPath ${JSON.stringify(originPath)} is not where the store is: ${JSON.stringify(name)}`);
    }
    const below = originPath === '' ? name : name.slice(originPath.length + 1);
    return `${baseUrl}/${below.split('/').map(encodeURIComponent).join('/')}`;
  }
}

async function startWithinAws(options: CloudFrontOptions, host: PluginHost): Promise<WithinAws | undefined> {
  const { duration, ipFilteredBy, ipRangesUrl, awsRegion, updateFrequency } = options;
  if (ipFilteredBy === 'none') return undefined;
  const store = await host.start(delegate({ expires: Math.min(duration, STORE_LONGEST) }));
  const clients = AwsClients.follow({ source: ipRangesUrl, regions: awsRegion, updateFrequency }, host);
  return { clients, store };
}

/**
 * Sends clients to Amazon CloudFront, by URLs that are signed with the key of a trusted key group. Needs the package
 * `@aws-sdk/cloudfront-signer`.
 *
 * @see https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
 */
export const cloudfront = definePlugin({
  kind: 'layer',
  name: 'cloudfront',
  options: cloudfrontOptions,
  create: async (options, host) => {
    const sdk = await optionalPeer('@aws-sdk/cloudfront-signer', () => import('@aws-sdk/cloudfront-signer'));
    const { keyPairId, duration } = options;
    const key = await loadPrivateKey(options.privateKey);
    const signer = new UrlSigner({ sign: sdk.getSignedUrl, keyPairId, key, duration, clock: host.clock });
    // Some systems forbid signatures over SHA-1, which are CloudFront's: that is found out here.
    signer.sign(`${options.baseUrl}/`);
    const withinAws = await startWithinAws(options, host);
    return new CloudFront({ options, signer, withinAws, log: host.logger });
  },
});
