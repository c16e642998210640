// The contract of coordination: leases on names, so that of several hosts one at a time works on
// something, and small notes that all of them see.

/** How a lease is asked for. Durations are milliseconds. */
export interface AcquireOptions {
  /** How long the lease outlives its holder, should that die. It is renewed until it is released. */
  readonly ttl: number;
  /** How long to wait while somebody else has it; 0 not at all. */
  readonly wait: number;
  /** Ends the waiting; the lease itself goes on. */
  readonly signal?: AbortSignal | undefined;
}

/** The right to work on a name, for the time being. */
export interface Lease {
  /**
   * Greater than that of every lease on the name before, on whatever host: whoever keeps the greatest that
   * it has seen can tell a holder who does not know yet that its time is over.
   */
  readonly token: number;
  /** Aborted when the lease was lost: it could not be renewed in time, or somebody else has it. */
  readonly signal: AbortSignal;
  /**
   * Makes sure, by asking, that the lease is still held: before what cannot be undone.
   *
   * @throws the reason of {@link Lease.signal}, when it is lost; an error when that cannot be found out.
   */
  confirm(): Promise<void>;
  /** Gives the name back. Never throws: a lease that cannot be given back ends with its time. */
  release(): Promise<void>;
}

/** Keeps the hosts of one registry, or the requests of one process, out of each other's way. */
export interface Coordinator {
  /**
   * The lease on a name; `undefined` when somebody else kept it for all of `wait`.
   *
   * @throws RegistryError `UNAVAILABLE` when leases cannot be had at present, soon rather than at the
   *   end of `wait`; the signal's reason.
   */
  acquire(name: string, options: AcquireOptions): Promise<Lease | undefined>;

  /** Capability: notes of a few kilobytes that every host sees, for the state of uploads. */
  readonly notes?: Notes;

  /** Capability: rejects while leases cannot be had. */
  check?(): Promise<void>;

  /** Releases every lease that is still held. */
  close?(): Promise<void>;
}

/** Small texts by name, forgotten after a time. */
export interface Notes {
  get(name: string): Promise<string | undefined>;
  /** @param ttl for how long it is kept, in milliseconds. */
  set(name: string, text: string, ttl: number): Promise<void>;
  delete(name: string): Promise<void>;
}
