// The published suite for sinks for notifications: one test for each promise of the contract, some by the sink
// alone, some with a whole registry before it.

import { type OpenSetup, type SinkCase, SinkStage } from './notification-sink-case.js';
import { conductCases } from './notification-sink-conduct.js';
import { deliveryCases } from './notification-sink-delivery.js';
import { failureCases } from './notification-sink-failures.js';
import type { SinkPlaces, SinkSetup } from './notification-sink-setup.js';
import { register } from './register.js';
import type { RegisterTest } from './storage.js';

export type { LogLine } from './layer-log.js';
export type { FarEndFailure, SinkPlaces, SinkSetup } from './notification-sink-setup.js';

const CASES: readonly SinkCase[] = [...deliveryCases, ...failureCases, ...conductCases];

/**
 * Checks a sink for notifications against every promise of `NotificationSink`.
 *
 * ```ts
 * import { test } from 'uvu';
 * import { notificationSinkSuite } from 'koa-registry/conformance';
 *
 * notificationSinkSuite(test, async () => {
 *   const topic = await Topic.open();
 *   return {
 *     sink: mine({ url: topic.url }),
 *     received: () => topic.events(),
 *     fail: (how) => topic.fail(how),
 *     close: () => topic.close(),
 *   };
 * });
 * test.run();
 * ```
 *
 * Each test opens a setup of its own, or two; far ends that several setups share are told apart by the setup. Sinks
 * with the options of `deliveryOptions` are also started with others of them than the setup gives.
 *
 * @param open makes the plugin and its far end; called for each test.
 * @param skips the names of tests that the sink cannot pass, each with the reason.
 * @throws Error when `skips` names a test that does not exist, so that none outlives its test.
 */
export function notificationSinkSuite(
  test: RegisterTest,
  open: (places: SinkPlaces) => SinkSetup | Promise<SinkSetup>,
  skips: Readonly<Record<string, string>> = {},
): void {
  register(test, CASES, skips, (body) => runCase(open, body));
}

async function runCase(open: OpenSetup, body: SinkCase[1]): Promise<void> {
  const stage = new SinkStage(open);
  try {
    await body(stage);
  } finally {
    await stage.close();
  }
}
