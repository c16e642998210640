// What a request has done, with who asked and by which address; it costs little until somebody wants to see the event.
import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { EventAction, EventTarget, RegistryEvent } from '../contracts/notification.js';
import type { Descriptor } from '../model/descriptor.js';
import type { Digest } from '../model/digest.js';
import type { Tag } from '../model/reference.js';
import type { RepositoryName } from '../model/repository-name.js';
import type { Events } from '../notifications/events.js';
import type { Occurrence } from '../notifications/occurrence.js';
import type { Call } from './call.js';

/** What was pushed, pulled, mounted or deleted. */
export interface Subject {
  readonly digest?: Digest | undefined;
  /** In bytes; of what was deleted nothing is known any more. */
  readonly size?: number | undefined;
  readonly mediaType?: string | undefined;
  readonly fromRepository?: RepositoryName | undefined;
  readonly references?: readonly Descriptor[] | undefined;
}

/** Who asks, of what and where: most requests of a connection have that in common with the one before. */
interface Asking {
  readonly hostHeader: string | string[] | undefined;
  readonly base: string;
  readonly method: string;
  readonly agent: string;
  readonly actor: string | undefined;
  readonly repository: RepositoryName;
  /** The API's root, as the client knows it. */
  readonly root: string;
  readonly host: string;
  readonly address: string;
  readonly localPort: number;
  readonly source: Events['source'];
}

/** By connection. Not with the socket itself: to whoever works with sockets, that would be one of another kind. */
const LATEST = new WeakMap<Socket, Asking>();

/** Of all that waits for a sink that is away, what is the same is the same object. */
function askingOf(call: Call): Asking {
  const { ctx, mount, method, repository } = call;
  const { headers, socket } = ctx.req;
  const { source } = call.services.events;
  const hostHeader = headers.host ?? headers[':authority'];
  const agent = headers['user-agent'] ?? '';
  const actor = call.grant.actor?.name;
  const latest = LATEST.get(socket);
  if (
    latest !== undefined &&
    latest.hostHeader === hostHeader &&
    latest.base === mount.base &&
    latest.method === method &&
    latest.agent === agent &&
    latest.actor === actor &&
    latest.repository === repository &&
    latest.source === source &&
    // What a proxy says of a request may differ from that of the next one.
    !ctx.app.proxy
  ) {
    return latest;
  }
  const { remotePort, localPort = 0 } = socket;
  const address = ctx.app.proxy || remotePort === undefined ? ctx.ip : addressOf(ctx.ip, remotePort);
  const { host } = ctx;
  const asked = { hostHeader, base: mount.base, method, agent, actor, repository };
  const asking = { ...asked, root: call.urls.root(), host, address, localPort, source };
  LATEST.set(socket, asking);
  return asking;
}

/** Keeps nothing of the request itself, which may wait for long. */
export class CallOccurrence implements Occurrence {
  readonly action: EventAction;
  readonly #subject: Subject;
  readonly #tag: Tag | undefined;
  readonly #asking: Asking;
  readonly #requestId: string;
  #time: number;
  #event: RegistryEvent | undefined;

  constructor(call: Call, action: EventAction, subject: Subject, tag: Tag | undefined) {
    this.action = action;
    this.#subject = subject;
    this.#tag = tag;
    this.#asking = askingOf(call);
    this.#requestId = call.id;
    this.#time = Date.now();
  }

  /** It is over only now. */
  conclude(): this {
    this.#time = Date.now();
    return this;
  }

  get repository(): RepositoryName {
    return this.#asking.repository;
  }

  get mediaType(): string | undefined {
    return this.#subject.mediaType;
  }

  get references(): number {
    return this.#subject.references?.length ?? 0;
  }

  get event(): RegistryEvent {
    this.#event ??= this.#make();
    return this.#event;
  }

  #make(): RegistryEvent {
    const { address, host, method, agent, actor, localPort, source } = this.#asking;
    // Nobody who is told may change what others are told.
    return Object.freeze<RegistryEvent>({
      id: randomUUID(),
      timestamp: new Date(this.#time).toISOString(),
      action: this.action,
      target: Object.freeze(this.#target()),
      request: Object.freeze({
        id: this.#requestId,
        addr: address,
        host,
        method,
        useragent: agent,
      }),
      actor: Object.freeze(actor === undefined ? {} : { name: actor }),
      source: Object.freeze({ addr: addressOf(source.host, localPort), instanceID: source.instanceID }),
    });
  }

  #target(): EventTarget {
    const { repository, root } = this.#asking;
    const { size, digest, mediaType, fromRepository, references } = this.#subject;
    const tag = this.#tag;
    const kind = references === undefined ? 'blobs' : 'manifests';
    return {
      ...(mediaType !== undefined && { mediaType }),
      ...(size !== undefined && { size }),
      ...(digest !== undefined && { digest }),
      ...(size !== undefined && { length: size }),
      repository,
      ...(fromRepository !== undefined && { fromRepository }),
      ...(size !== undefined && { url: `${root}${repository}/${kind}/${digest}` }),
      ...(tag !== undefined && { tag }),
      ...(references !== undefined && { references }),
    };
  }
}

function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
