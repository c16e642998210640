// What is told to others of what happens in a registry, and the contracts of those who pass it on: sinks, and the
// queues before them. `koa-registry/conformance` publishes `notificationSinkSuite` and `eventQueueSuite`.
import type { Descriptor } from '../model/descriptor.js';
import type { CallOptions } from './storage.js';

/** `delete` of a target with a tag and without a digest takes only the tag. */
export type EventAction = 'pull' | 'push' | 'mount' | 'delete';

/** What the event is about; the fields are those of distribution. */
export interface EventTarget {
  /** Of the manifest; `application/octet-stream` for a blob. Left out where it is not known, as of what was deleted. */
  readonly mediaType?: string;
  /** In bytes. */
  readonly size?: number;
  readonly digest?: string;
  /** The same as `size`. */
  readonly length?: number;
  readonly repository: string;
  /** Where a mounted blob came from. */
  readonly fromRepository?: string;
  /** Where the content may be had, as the caller of the registry knows it. */
  readonly url?: string;
  readonly tag?: string;
  /** What a manifest refers to, its config and layers or its children: media type, digest, size, platform. */
  readonly references?: readonly Descriptor[];
}

/** Something that has happened, in the shape that distribution's listeners know. */
export interface RegistryEvent {
  /** A UUID, the same each time that the event is delivered. */
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly timestamp: string;
  readonly action: EventAction;
  readonly target: EventTarget;
  readonly request: {
    /** The `X-Request-Id` of the answer. */
    readonly id: string;
    /** The client's address; behind a proxy that the application trusts, the proxy's client. */
    readonly addr: string;
    readonly host: string;
    readonly method: string;
    readonly useragent: string;
  };
  /** Nobody's, where nobody logged in. */
  readonly actor: { readonly name?: string };
  readonly source: {
    /** The host and port that took the request. */
    readonly addr: string;
    /** Another one with each start of the registry. */
    readonly instanceID: string;
  };
}

/** How the queue before a sink delivers. Durations are milliseconds. */
export interface Delivery {
  /**
   * What the sink is called in metrics, logs and durable queues; one of each name in a registry. It is what the option
   * `name` of the sink's plugin says, or the plugin's name.
   */
  readonly name: string;
  /** The most events of one {@link NotificationSink.write}. */
  readonly batch: number;
  /** How long a `write` may take. */
  readonly timeout: number;
  /** After so many failures in a row the pauses begin at `backoff` and double up to `maxBackoff`; before, they are short. */
  readonly threshold: number;
  readonly backoff: number;
  readonly maxBackoff: number;
  /** After so many failures events are dead letters. Left out: they are tried for ever. */
  readonly maxAttempts?: number | undefined;
  /** What the sink is not told. */
  readonly ignore: EventFilter;
}

/** What a sink says of its {@link Delivery}, such as the options that `deliveryOptions` has checked. */
export type DeliveryOptions = { readonly [K in keyof Delivery]?: Delivery[K] | undefined };

/** An event that one of these names is meant. */
export interface EventFilter {
  readonly mediaTypes: readonly string[];
  readonly actions: readonly EventAction[];
  /** Globs. */
  readonly repositories: readonly string[];
}

/** Where events go. */
export interface NotificationSink {
  /** How the queue delivers to it; what is left out has the defaults of `deliveryOptions`. */
  readonly delivery?: DeliveryOptions | undefined;

  /**
   * Passes events on, in their order; they are delivered once it resolves. When it rejects, the same events come
   * again later, so those that were passed on already may be so twice. There is one call at a time. Events are frozen.
   *
   * The signal is aborted when it has taken too long, or the registry closes; then it should reject.
   *
   * @throws SinkGoneError when the sink wants no events any more.
   */
  write(events: readonly RegistryEvent[], options: { readonly signal: AbortSignal }): Promise<void>;

  /** Capability: rejects while the sink cannot be reached. */
  check?(options?: CallOptions): Promise<void>;

  close?(): Promise<void>;
}

/** An event that waits; a queue may keep more in it than is said here, and gets it back as it was. */
export interface QueuedEvent {
  readonly event: RegistryEvent;
}

/** Events of one sink that wait for their delivery, kept where a restart does not lose them. */
export interface EventQueue {
  /** How many wait, as far as this host knows. */
  readonly length: number;
  /** How much they take up, in bytes, as far as this host knows. */
  readonly bytes: number;

  /** Adds events at the end, in their order; they survive what the queue survives once it resolves. */
  append(events: readonly RegistryEvent[]): Promise<void>;

  /** The first events, in order, `count` at most or fewer, but none only where none are there; they stay. */
  peek(count: number): Promise<readonly QueuedEvent[]>;

  /** Removes events that {@link EventQueue.peek} answered, from the first on; those that are gone already are no failure. */
  remove(events: readonly QueuedEvent[]): Promise<void>;

  /** Capability: brings `length` and `bytes` up to date with what other hosts have done, where they share the queue. */
  look?(): Promise<void>;

  /** No call follows. What waits stays. */
  close?(): Promise<void>;
}

/** Keeps the queues of a registry. Methods reject while it cannot be reached. */
export interface EventQueueStore {
  /**
   * Whether the hosts of a registry that have this store share its queues: then they take turns at delivering, by
   * leases of the coordination.
   */
  readonly shared: boolean;

  /** The queue of a sink, with what it had when it was last closed, or its process died. */
  open(sink: string): Promise<EventQueue>;

  /** Capability: rejects while the store cannot be used. */
  check?(options?: CallOptions): Promise<void>;

  close?(): Promise<void>;
}
