// Events that nobody else has, and what is to be seen of them at the far end.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { type Descriptor, digestOf, type RegistryEvent } from 'koa-registry';

/** What an event may differ in. */
export type EventParts = Partial<Omit<RegistryEvent, 'id'>>;

/** The push of a manifest, with every member that an event can have. */
export function anEvent(more: EventParts = {}): RegistryEvent {
  const id = randomUUID();
  const manifest = aDescriptor(id, 'application/vnd.oci.image.manifest.v1+json');
  const target = {
    ...manifest,
    length: manifest.size,
    repository: 'conformance/events',
    fromRepository: 'conformance/elsewhere',
    url: `https://registry.example/portal/v2/conformance/events/manifests/${manifest.digest}`,
    tag: 'latest',
    references: [aDescriptor(`config of ${id}`), aDescriptor(`layer of ${id}`)],
  };
  return {
    id,
    timestamp: '2026-02-28T23:59:59.123Z',
    action: 'push',
    target,
    request: {
      id: randomUUID(),
      addr: '[2001:db8::1]:50000',
      host: 'registry.example:8443',
      method: 'PUT',
      useragent: 'conformance/1.0 (linux; amd64)',
    },
    actor: { name: 'conformance' },
    source: { addr: 'host-1:5000', instanceID: randomUUID() },
    ...more,
  };
}

export function events(count: number): RegistryEvent[] {
  return Array.from({ length: count }, () => anEvent());
}

export function aDescriptor(content: string, mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'): Descriptor {
  return { mediaType, digest: digestOf(Buffer.from(content)), size: 1000 + content.length };
}

/** The first of each id: what came again is no other event. */
export function each(some: readonly RegistryEvent[]): RegistryEvent[] {
  const byId = new Map<string, RegistryEvent>();
  for (const event of some) if (!byId.has(event.id)) byId.set(event.id, event);
  return [...byId.values()];
}

/** Asserts that these are the events, in their order, each as it was. */
export function assertEvents(actual: readonly RegistryEvent[], expected: readonly RegistryEvent[]): void {
  const ids = (some: readonly RegistryEvent[]) => some.map(({ id }) => id);
  assert.deepEqual(ids(actual), ids(expected), 'other events, or another order');
  for (const [index, event] of expected.entries()) assert.deepEqual(plain(actual[index]), plain(event));
}

/** As JSON tells it, so that it does not matter of what class anything is. */
function plain(event: unknown): unknown {
  return JSON.parse(JSON.stringify(event));
}
