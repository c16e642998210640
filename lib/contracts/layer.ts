// The contract of a layer handler: how the bytes of a blob reach the client without passing through
// the registry.
import type { IncomingHttpHeaders } from 'node:http';
import type { Descriptor } from '../model/descriptor.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { StorageDriver } from './storage.js';

/** A blob that a client may have: authorised, and known to exist. */
export interface Layer {
  readonly repository: RepositoryName;
  readonly descriptor: Descriptor;
  /** The blob's key in the store. */
  readonly key: string;
  /** The driver's capability, where it has it. */
  readonly url?: NonNullable<StorageDriver['url']>;
}

export interface LayerRequest {
  readonly method: 'GET' | 'HEAD';
  /** The client's address. */
  readonly client: string;
  readonly headers: IncomingHttpHeaders;
  readonly signal: AbortSignal;
}

/** A 307 to `redirect`, or `headers` that tell a front server which file to send in place of an empty body. */
export type LayerAnswer = { readonly redirect: string } | { readonly headers: Readonly<Record<string, string>> };

/** Asked for every GET and HEAD of a blob, after authorisation. */
export interface LayerHandler {
  /** `undefined`: the registry streams the blob itself. */
  resolve(layer: Layer, request: LayerRequest): Promise<LayerAnswer | undefined> | LayerAnswer | undefined;

  check?(): Promise<void>;

  close?(): Promise<void>;
}
