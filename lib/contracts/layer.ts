// The contract of a layer handler: how the bytes of a blob reach the client without passing through
// the registry. `koa-registry/conformance` publishes `layerHandlerSuite`, which checks it.
import type { IncomingHttpHeaders } from 'node:http';
import type { Descriptor } from '../model/descriptor.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { CallOptions, StorageDriver } from './storage.js';

/** What the storage driver can say of where its objects are; a member is missing where the driver lacks it. */
export type LayerStore = Pick<StorageDriver, 'url' | 'path'>;

/** A blob that a client may have: authorised, and known to exist. */
export interface Layer extends LayerStore {
  readonly repository: RepositoryName;
  readonly descriptor: Descriptor;
  /** The blob's key in the store. */
  readonly key: string;
}

export interface LayerRequest {
  readonly method: 'GET' | 'HEAD';
  /** The client's address, as Koa tells it: behind a proxy that the application trusts, the proxy's client. */
  readonly client: string;
  readonly headers: IncomingHttpHeaders;
  /** Aborted when the client goes away, and when the handler has taken too long. */
  readonly signal: AbortSignal;
}

/**
 * A 307 to `redirect`, an absolute `http` or `https` URL; or `headers` that tell a front server which file to send
 * in place of an empty body.
 */
export type LayerAnswer = { readonly redirect: string } | { readonly headers: Readonly<Record<string, string>> };

/**
 * Asked for every GET and HEAD of a blob, after authorisation, unless the option `offload` spares the client. When
 * it throws, answers what is no {@link LayerAnswer}, or takes longer than ten seconds, the registry serves the blob
 * itself and says so once in the log, or answers 503 (`offload.onFailure`). What it throws may be logged: it must not
 * contain a signature.
 */
export interface LayerHandler {
  /** `undefined`: the registry streams the blob itself. */
  resolve(layer: Layer, request: LayerRequest): Promise<LayerAnswer | undefined> | LayerAnswer | undefined;

  /**
   * Capability: resolves when the handler can do its work with what the driver can; rejects with what is wrong, such
   * as a signer without a key. Asked at the start, and whenever somebody asks for the registry's health.
   */
  check?(options: LayerStore & CallOptions): Promise<void>;

  close?(): Promise<void>;
}
