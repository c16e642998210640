// Something that has happened, before anybody wants to know all of it: most of what waits for a sink that is away is
// dropped again, and an event that nobody sees is not worth making.
import type { EventAction, RegistryEvent } from '../contracts/notification.js';

export interface Occurrence {
  readonly action: EventAction;
  readonly repository: string;
  /** Of the target, where it is known. */
  readonly mediaType: string | undefined;
  /** How many descriptors the event refers to. */
  readonly references: number;
  /** Made when it is first asked for, and the same ever after. */
  readonly event: RegistryEvent;
}

/** Of the members that each event has, in bytes. */
const BASE = 600;

/** Of a descriptor among its references, which outlives the manifest that is kept parsed. */
const REFERENCE = 200;

/** How much memory it takes up, about: what bounds a queue must cost next to nothing to know. */
export function sizeOf({ references }: Occurrence): number {
  return BASE + references * REFERENCE;
}
