// The options that say how the queue before a notification sink delivers: each sink's plugin spreads them into its own.
import { z } from 'zod';
import { repositoryGlob } from './repository-glob.js';
import { duration } from './units.js';

/** Of a durable queue it is a file's name, too. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * The members of a sink's options that the registry reads, for `z.strictObject({ ...deliveryOptions(), … })`. The
 * sink hands them back as its `delivery`.
 *
 * @param defaults the sink's own, where they differ: the most events of one write, and how long it may take in milliseconds.
 */
export function deliveryOptions({ batch = 1, timeout = 1_000 }: { batch?: number; timeout?: number } = {}) {
  return {
    /** What the sink is called in metrics, logs and durable queues; one of each name in a registry. Default: the plugin's name. */
    name: z.string().regex(NAME, 'must be letters, digits, ".", "_" and "-", 64 at most').optional(),
    /** The most events that are passed on together, up to 1000. */
    batch: z.int().min(1).max(1000).default(batch),
    /** How long the sink may take. */
    timeout: duration({ min: 1, max: '5m' }).default(timeout),
    /** After so many failures in a row the pauses between two tries grow. Default: 10. */
    threshold: z.int().min(1).default(10),
    /** The first of those pauses, about; each is twice the one before. Default: 1 s. */
    backoff: duration({ min: 1 }).default(1_000),
    /** The longest of them, about. Default: 1 min. */
    maxBackoff: duration({ min: 1 }).default(60_000),
    /** After so many failures events are given up as dead letters. Default: never. */
    maxAttempts: z.int().min(1).optional(),
    /** What the sink is not told: an event that one of these names is meant. */
    ignore: z
      .strictObject({
        /** Of the target. Default: none. */
        mediaTypes: z.array(z.string().min(1)).default([]),
        /** Default: none. */
        actions: z.array(z.enum(['pull', 'push', 'mount', 'delete'])).default([]),
        /** Globs, as in `auth/rules`. Default: none. */
        repositories: z.array(repositoryGlob()).default([]),
      })
      .prefault({}),
  };
}
