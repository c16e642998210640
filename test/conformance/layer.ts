// The published suite for layer handlers: one test for each promise of the contract, most of them over a
// real socket and to the last byte, as a client meets the handler.
import { startPlugin } from 'koa-registry';
import { answerCases } from './layer-answers.js';
import { bytesCases } from './layer-bytes.js';
import type { LayerCase } from './layer-case.js';
import { conductCases } from './layer-conduct.js';
import { Origin } from './layer-origin.js';
import { LayerRegistry } from './layer-registry.js';
import type { LayerPlaces, LayerSetup } from './layer-setup.js';
import { Site } from './layer-site.js';
import { storeCases } from './layer-stores.js';
import { register } from './register.js';
import type { RegisterTest } from './storage.js';

export type { BlobReply, BlobRequest, LayerPlaces, LayerSetup } from './layer-setup.js';

const CASES: readonly LayerCase[] = [...bytesCases, ...answerCases, ...storeCases, ...conductCases];

/**
 * Checks a layer handler against every promise of `LayerHandler`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { layerHandlerSuite } from 'koa-registry/conformance';
 *
 * layerHandlerSuite(test, ({ origin }) => ({ layer: cdn({ baseUrl: origin }) }));
 * test.run();
 * ```
 *
 * Each test puts a registry with the handler into a Koa application on a port of 127.0.0.1, pushes blobs of its own
 * and asks for them, as one client that the registry knows and as one that it does not. Its store is in memory, signs
 * URLs, and is reached at `origin`, unless the setup has one of its own. The handler may always leave a blob to
 * the registry, but for the large ones, of more than a mebibyte, if `offloads` is not `false`.
 *
 * @param open makes the plugin and says how a client gets the bytes; called for each test.
 * @param skips the names of tests that the handler cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function layerHandlerSuite(
  test: RegisterTest,
  open: (places: LayerPlaces) => LayerSetup | Promise<LayerSetup>,
  skips: Readonly<Record<string, string>> = {},
): void {
  register(test, CASES, skips, (body) => runCase(open, body));
}

/** How something ends that a test has started; all do in reverse, also when the test fails. */
type Ending = () => Promise<void>;

async function runCase(open: (places: LayerPlaces) => LayerSetup | Promise<LayerSetup>, body: LayerCase[1]) {
  const endings: Ending[] = [];
  try {
    const origin = await Origin.open();
    endings.push(() => origin.close());
    const site = await Site.open();
    endings.push(() => site.close());
    const setup = await open({ origin: origin.url, registry: site.url });
    endings.push(async () => setup.close?.());
    const storage = await startPlugin(setup.storage ?? origin.storage);
    endings.push(storage.close);
    const at = new LayerRegistry(setup, storage.instance, site);
    endings.push(() => at.registry.close());
    await body(at);
  } finally {
    for (const end of endings.reverse()) await end();
  }
}
