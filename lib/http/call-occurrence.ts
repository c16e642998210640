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

/** What is the same for all requests of a connection, as long as they name the same host. */
interface Connection {
  readonly hostHeader: string | string[] | undefined;
  readonly base: string;
  /** The API's root, as the client knows it. */
  readonly root: string;
  readonly host: string;
  readonly address: string;
  readonly localPort: number;
}

const CONNECTION = Symbol('connection');

interface KnownSocket extends Socket {
  [CONNECTION]?: Connection;
}

/** Found out once: what a proxy says of a request may differ from that of the next one. */
function connectionOf(call: Call): Connection {
  const { ctx, mount } = call;
  const socket: KnownSocket = ctx.req.socket;
  const { host: hostHeader = ctx.req.headers[':authority'] } = ctx.req.headers;
  const known = socket[CONNECTION];
  if (known !== undefined && known.hostHeader === hostHeader && known.base === mount.base && !ctx.app.proxy)
    return known;
  const { remotePort, localPort = 0 } = socket;
  const address = ctx.app.proxy || remotePort === undefined ? ctx.ip : addressOf(ctx.ip, remotePort);
  const connection = { hostHeader, base: mount.base, root: call.urls.root(), host: ctx.host, address, localPort };
  socket[CONNECTION] = connection;
  return connection;
}

/** Keeps nothing of the request itself, which may wait for long. */
export class CallOccurrence implements Occurrence {
  readonly action: EventAction;
  readonly repository: RepositoryName;
  readonly #subject: Subject;
  readonly #tag: Tag | undefined;
  readonly #connection: Connection;
  readonly #requestId: string;
  readonly #method: string;
  readonly #agent: string;
  readonly #actor: string | undefined;
  readonly #source: Events['source'];
  #time = Date.now();
  #event: RegistryEvent | undefined;

  constructor(call: Call, action: EventAction, subject: Subject, tag: Tag | undefined) {
    const { method = '', headers } = call.ctx.req;
    this.action = action;
    this.repository = call.repository;
    this.#subject = subject;
    this.#tag = tag;
    this.#connection = connectionOf(call);
    this.#requestId = call.id;
    this.#method = method;
    this.#agent = headers['user-agent'] ?? '';
    this.#actor = call.grant.actor?.name;
    this.#source = call.services.events.source;
  }

  /** It is over only now. */
  conclude(): this {
    this.#time = Date.now();
    return this;
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
    const { host, instanceID } = this.#source;
    const connection = this.#connection;
    // Nobody who is told may change what others are told.
    return Object.freeze<RegistryEvent>({
      id: randomUUID(),
      timestamp: new Date(this.#time).toISOString(),
      action: this.action,
      target: Object.freeze(this.#target()),
      request: Object.freeze({
        id: this.#requestId,
        addr: connection.address,
        host: connection.host,
        method: this.#method,
        useragent: this.#agent,
      }),
      actor: Object.freeze(this.#actor === undefined ? {} : { name: this.#actor }),
      source: Object.freeze({ addr: addressOf(host, connection.localPort), instanceID }),
    });
  }

  #target(): EventTarget {
    const { repository } = this;
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
      ...(size !== undefined && { url: `${this.#connection.root}${repository}/${kind}/${digest}` }),
      ...(tag !== undefined && { tag }),
      ...(references !== undefined && { references }),
    };
  }
}

function addressOf(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
