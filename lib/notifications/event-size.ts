// How much memory an event takes up, about: what bounds a queue must cost next to nothing to know.
import type { RegistryEvent } from '../contracts/notification.js';

/** Of the members that each event has, in bytes. */
const BASE = 600;

/** Of a descriptor among its references, which outlives the manifest that is kept parsed. */
const REFERENCE = 200;

export function sizeOf({ target, request }: RegistryEvent): number {
  return BASE + request.useragent.length + (target.url?.length ?? 0) + (target.references?.length ?? 0) * REFERENCE;
}
