// Events for the host application's own functions, in the same process.
import type { Logger } from '../contracts/logger.js';
import type { EventAction, RegistryEvent } from '../contracts/notification.js';

/** A function of the host application. What it throws, or rejects with, is logged and harms nothing. */
export type EventListener = (event: RegistryEvent) => unknown;

/** Where the host application hears what happens in its registry. */
export interface RegistryEvents {
  /**
   * Calls `listener` for every event of an action, or for all of them (`*`), soon after it has happened and in
   * order; nobody waits for it.
   *
   * @returns a function that ends it.
   */
  on(action: EventAction | '*', listener: EventListener): () => void;
}

const ACTIONS: ReadonlySet<string> = new Set(['pull', 'push', 'mount', 'delete', '*']);

export class EventListeners implements RegistryEvents {
  readonly #log: Logger;
  readonly #listeners = new Set<{ readonly action: EventAction | '*'; readonly listener: EventListener }>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Whether anybody listens. */
  get any(): boolean {
    return this.#listeners.size > 0;
  }

  on(action: EventAction | '*', listener: EventListener): () => void {
    if (!ACTIONS.has(action))
      throw new TypeError(`there is no action ${JSON.stringify(action)}: ${[...ACTIONS].join(', ')}`);
    if (typeof listener !== 'function') throw new TypeError('the listener must be a function');
    const entry = { action, listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  tell(event: RegistryEvent): void {
    setImmediate(() => this.#tell(event));
  }

  #tell(event: RegistryEvent): void {
    for (const { action, listener } of this.#listeners) {
      if (action !== '*' && action !== event.action) continue;
      try {
        const result = listener(event);
        if (result instanceof Promise) result.catch((error: unknown) => this.#noteFailure(event, error));
      } catch (error) {
        this.#noteFailure(event, error);
      }
    }
  }

  #noteFailure({ id, action }: RegistryEvent, err: unknown): void {
    this.#log.error({ err, event: id, action }, 'a listener for events has failed');
  }
}
