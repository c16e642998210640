// Reads one HTTP/1.1 answer at a time off a byte stream, looking at no more than the status and the
// framing: a load generator that parses less than the server composes stays ahead of it.

/** What came back: enough to tell a right answer from a wrong one. */
export interface Answer {
  readonly status: number;
  /** Status line and header fields as they came. */
  readonly head: string;
  /** Bytes of body on the wire; those of a chunked body include its framing. */
  readonly length: number;
}

const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const LAST_CHUNK = '0\r\n\r\n';
const EMPTY = Buffer.alloc(0);

/** The value of a header field, or `undefined`. */
export function headerOf(answer: Answer, name: string): string | undefined {
  return new RegExp(`\\r\\n${name}: *([^\\r]*)`, 'i').exec(answer.head)?.[1];
}

/** Only for connections without pipelining: whatever follows an answer's end is an error of the server. */
export class AnswerReader {
  #bodiless = false;
  #onBody: ((bytes: Uint8Array) => void) | undefined;
  #head: string | undefined;
  #partial = EMPTY;
  #tail = '';
  #received = 0;
  #length = 0;

  /** Announces the next answer; that to a HEAD has no body whatever its `Content-Length` says. `onBody` sees the body. */
  expect({ bodiless, onBody }: { bodiless: boolean; onBody?: ((bytes: Uint8Array) => void) | undefined }): void {
    this.#bodiless = bodiless;
    this.#onBody = onBody;
    this.#head = undefined;
    this.#tail = '';
    this.#received = 0;
  }

  /** Takes what arrived (and keeps none of it); answers the answer once it is whole. */
  read(bytes: Buffer): Answer | undefined {
    const body = this.#head === undefined ? this.#readHead(bytes) : bytes;
    if (body === undefined || this.#head === undefined) return undefined;
    this.#received += body.length;
    this.#onBody?.(body);
    if (!this.#isWhole(body)) return undefined;
    return { status: Number(this.#head.slice(9, 12)), head: this.#head, length: this.#received };
  }

  /** The part of `bytes` that follows the head, or `undefined` while the head is incomplete. */
  #readHead(bytes: Buffer): Buffer | undefined {
    const known = this.#partial.length === 0 ? bytes : Buffer.concat([this.#partial, bytes]);
    const end = known.indexOf('\r\n\r\n');
    if (end < 0) {
      this.#partial = Buffer.from(known);
      return undefined;
    }
    this.#partial = EMPTY;
    const head = known.toString('latin1', 0, end);
    this.#head = head;
    this.#length = this.#bodiless ? 0 : this.#announcedLength(head);
    return known.subarray(end + 4);
  }

  #announcedLength(head: string): number {
    const length = CONTENT_LENGTH.exec(head)?.[1];
    if (length !== undefined) return Number(length);
    if (CHUNKED.test(head)) return Number.NaN;
    throw new Error(`an answer without a length:\n${head}`);
  }

  #isWhole(body: Buffer): boolean {
    if (Number.isNaN(this.#length)) {
      this.#tail = (this.#tail + body.toString('latin1', Math.max(0, body.length - LAST_CHUNK.length))).slice(
        -LAST_CHUNK.length,
      );
      return this.#tail === LAST_CHUNK;
    }
    if (this.#received > this.#length) throw new Error(`an answer longer than it says:\n${this.#head}`);
    return this.#received === this.#length;
  }
}
