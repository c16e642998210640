// The published suite for stores of event queues: one test for each promise of the contract, with two hosts where a
// promise is about both.
import { type Plugin, startPlugin } from 'koa-registry';
import { type EventQueueCase, QueueHost } from './event-queue-case.js';
import { durableCases, storeCases } from './event-queue-kept.js';
import { orderCases } from './event-queue-order.js';
import { sharedQueueCases } from './event-queue-shared.js';
import { register } from './register.js';
import type { RegisterTest } from './storage.js';

export interface EventQueueSuiteOptions {
  /**
   * Whether two plugins that `open` makes are two hosts with the same queues, as the store's `shared` says. Without,
   * tests about two hosts do not run. Default: false.
   */
  readonly shared?: boolean;
}

const CASES: readonly EventQueueCase[] = [...orderCases, ...storeCases, ...durableCases];

/**
 * Checks a store of event queues against every promise of `EventQueueStore` and `EventQueue`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { eventQueueSuite } from 'koa-registry/conformance';
 *
 * eventQueueSuite(test, () => kafka({ brokers: ['127.0.0.1:9092'] }), {}, { shared: true });
 * test.run();
 * ```
 *
 * Each test starts plugins of its own and uses sinks of its own, so the store may hold other queues; the queues are
 * left empty or nearly so. What a crash leaves, and what becomes of events while the store is away, is for the
 * plugin's own tests.
 *
 * @param open makes the plugin; of one test all have to lead to the same store.
 * @param skips the names of tests that the store cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function eventQueueSuite(
  test: RegisterTest,
  open: () => Plugin<'queue'> | Promise<Plugin<'queue'>>,
  skips: Readonly<Record<string, string>> = {},
  { shared = false }: EventQueueSuiteOptions = {},
): void {
  const cases = shared ? [...CASES, ...sharedQueueCases] : CASES;
  register(test, cases, skips, (body) => runCase(open, body));
}

async function runCase(open: () => Plugin<'queue'> | Promise<Plugin<'queue'>>, body: EventQueueCase[1]): Promise<void> {
  const started: QueueHost[] = [];
  try {
    await body(async () => {
      const host = new QueueHost(await startPlugin(await open()));
      started.push(host);
      return host;
    });
  } finally {
    for (const host of started.reverse()) await host.close();
  }
}
