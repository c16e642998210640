// What the tests of the redirecting layer handlers share: blobs that are asked for, and who asks.
import assert from 'node:assert/strict';
import {
  type Layer,
  type LayerHandler,
  type LayerRequest,
  type LayerStore,
  OptionsError,
  type Plugin,
  parseDigest,
  parseRepositoryName,
  startPlugin,
} from 'koa-registry';
import { digestOf } from '../support/content.js';

/** Where the registry keeps a blob. */
export function keyOf(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return `docker/registry/v2/blobs/${algorithm}/${hex.slice(0, 2)}/${hex}/data`;
}

/** A blob of these bytes, in a store that can say this of it. */
export function layerOf(bytes: string | Uint8Array, store: LayerStore = {}): Layer {
  const digest = parseDigest(digestOf(bytes));
  const descriptor = { mediaType: 'application/octet-stream', digest, size: Buffer.byteLength(bytes) };
  return { repository: parseRepositoryName('team/app'), descriptor, key: keyOf(digest), ...store };
}

export function requestFor(method: LayerRequest['method'] = 'GET', client = '192.0.2.1'): LayerRequest {
  return { method, client, headers: {}, signal: new AbortController().signal };
}

/** Starts a handler, for a test that asks it directly. */
export async function withHandler(
  plugin: Plugin<'layer'>,
  use: (handler: LayerHandler) => Promise<void>,
  clock?: () => number,
): Promise<void> {
  const { instance, close } = await startPlugin(plugin, { clock });
  try {
    await use(instance);
  } finally {
    await close();
  }
}

/** The URL to which a handler redirects. */
export async function urlBy(handler: LayerHandler, layer: Layer, request = requestFor()): Promise<string> {
  const answer = await handler.resolve(layer, request);
  if (answer === undefined || !('redirect' in answer)) return assert.fail('no redirect');
  return answer.redirect;
}

/** What is wrong with a plugin's options: `path message`. */
export async function problemsOf(plugin: Plugin<'layer'>): Promise<readonly string[]> {
  try {
    await (await startPlugin(plugin)).close();
    return [];
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    return error.problems.map(({ path, message }) => `${path} ${message}`);
  }
}
