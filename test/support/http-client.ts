// A client over real sockets for the tests of the wire: a path is sent as it is, neither decoded nor
// normalised, and a request can be stopped half-way.
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { Readable } from 'node:stream';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string | string[]>>;
  /** Bytes are announced by their length; an iterable is sent chunked, unless the headers announce a length. */
  readonly body?: string | Uint8Array | AsyncIterable<Uint8Array> | Iterable<Uint8Array> | undefined;
}

/** A request under way, whose body the test sends itself. */
export interface OpenRequest {
  readonly answer: Promise<Answer>;
  readonly request: ClientRequest;
  /** Sends a part of the body; resolves when the kernel has it. */
  write(bytes: Uint8Array): Promise<void>;
  /** Destroys the socket; resolves when it is closed. */
  abort(): Promise<void>;
}

/** Sends a request to 127.0.0.1 on a connection of its own. */
export function send(port: number, method: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const { body } = options;
  const whole = typeof body === 'string' || body instanceof Uint8Array ? Buffer.from(body) : undefined;
  const length = whole === undefined ? {} : { 'Content-Length': String(whole.length) };
  const { request: outgoing, answer } = begin(port, method, path, { headers: { ...length, ...options.headers } });
  if (whole !== undefined || body === undefined) outgoing.end(whole);
  else Readable.from(body as AsyncIterable<Uint8Array>).pipe(outgoing);
  return answer;
}

/** As {@link send}, but only the head is sent. */
export function begin(port: number, method: string, path: string, { headers }: RequestOptions = {}): OpenRequest {
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers: { ...headers }, agent: false });
  const answer = answerOf(outgoing);
  // Whoever aborts a request does not ask for its answer.
  answer.catch(() => undefined);
  const write = (bytes: Uint8Array) =>
    new Promise<void>((resolve, reject) => {
      outgoing.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  const abort = async () => {
    if (outgoing.closed) return;
    const closed = new Promise((resolve) => outgoing.once('close', resolve));
    outgoing.destroy();
    await closed;
  };
  return { answer, request: outgoing, write, abort };
}

/** A server may answer before it has read the whole body, and then close: what counts is the answer. */
function answerOf(outgoing: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    outgoing.on('error', reject);
    outgoing.on('response', (incoming) => readAnswer(incoming).then(resolve, reject));
  });
}

/** @throws Error when the connection ends before the answer does. */
async function readAnswer(incoming: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) };
}
