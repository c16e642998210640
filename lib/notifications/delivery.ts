// How a sink is delivered to where it does not say.
import type { Delivery, NotificationSink } from '../contracts/notification.js';

const DEFAULTS = { batch: 1, timeout: 1_000, threshold: 10, backoff: 1_000, maxBackoff: 60_000 };

const NOTHING = { mediaTypes: [], actions: [], repositories: [] };

/** @param name what the sink is called: known before there is a sink, and checked. */
export function deliveryOf({ delivery = {} }: NotificationSink, name: string): Delivery {
  const said = Object.fromEntries(Object.entries(delivery).filter(([, value]) => value !== undefined));
  return { ...DEFAULTS, ...said, name, ignore: { ...NOTHING, ...delivery.ignore } };
}
