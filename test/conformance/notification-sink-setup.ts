// What the author of a sink for notifications says of it to the suite: the plugin, and what has arrived.
import type { Plugin, RegistryEvent } from 'koa-registry';
import type { LogLine } from './layer-log.js';

/** What a setup may use. */
export interface SinkPlaces {
  /** What is logged while the test runs, line by line: the sink's own lines and the registry's. */
  readonly log: readonly LogLine[];
}

/** How the far end fails: nobody can reach it, or it does not answer. */
export type FarEndFailure = 'away' | 'slow';

/** A sink and all that the suite has to know of it. */
export interface SinkSetup {
  /** One that ignores no events. */
  readonly sink: Plugin<'notification'>;
  /** What has arrived at the far end of this setup, in order; what came twice stands there twice. */
  received(): Promise<readonly RegistryEvent[]>;
  /**
   * Makes the far end fail; resolves, once it does, with a function that brings it back. Left out where it cannot
   * fail: tests about that then pass.
   */
  fail?(how: FarEndFailure): Promise<() => Promise<void>>;
  /** What the log must not hold, besides the options that are marked secret. */
  readonly secrets?: readonly string[] | undefined;
  /** Ends what the setup itself has started. */
  close?(): Promise<void>;
}
