// What the tests of auth/token share: a registry whose handler lives by a clock of theirs, and a web
// server for keys that answers as they like.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { type AuthHandler, definePlugin, type Grant, type Plugin, startPlugin } from 'koa-registry';
import { token } from 'koa-registry/plugins/auth/token';
import { z } from 'zod';
import { type LogLine, recordingLogger } from '../http/host-service.js';
import type { Answer } from '../support/http-client.js';
import { BARE, type OpenRegistry, openRegistry } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';
import { bearer, ISSUER, SERVICE } from '../support/tokens.js';

export const REALM = 'https://auth.example/token';

/** The options that no test is about. */
export const TO_US = { realm: REALM, service: SERVICE, issuer: ISSUER };

export type TokenOptions = Parameters<typeof token>[0];

const given = definePlugin({
  kind: 'auth',
  name: 'given',
  options: z.strictObject({ handler: z.custom<AuthHandler>() }),
  create: ({ handler }): AuthHandler => handler,
});

/** A time that passes when a test says so. */
export class TestClock {
  now = Date.now();
  readonly read = (): number => this.now;

  pass(seconds: number): void {
    this.now += seconds * 1000;
  }
}

const opened: (() => Promise<unknown>)[] = [];

/** For `after.each`. */
export async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close();
}

/** A registry behind auth/token. */
export class TokenRegistry {
  readonly at: OpenRegistry;
  readonly clock: TestClock;
  readonly handler: AuthHandler;
  /** What the plugin itself logged. */
  readonly lines: readonly LogLine[];
  readonly grants: readonly Grant[];
  readonly #sent: string[] = [];

  private constructor(parts: Pick<TokenRegistry, 'at' | 'clock' | 'handler' | 'lines' | 'grants'>) {
    this.at = parts.at;
    this.clock = parts.clock;
    this.handler = parts.handler;
    this.lines = parts.lines;
    this.grants = parts.grants;
  }

  static async open(options: Partial<TokenOptions>, clock = new TestClock()): Promise<TokenRegistry> {
    const { logger, lines } = recordingLogger();
    const plugin: Plugin<'auth'> = token({ ...TO_US, ...options });
    const { instance: handler, close } = await startPlugin(plugin, { logger, clock: clock.read });
    opened.push(close);
    const grants: Grant[] = [];
    const recording: AuthHandler = {
      authorize: async (request) => {
        const grant = await handler.authorize(request);
        grants.push(grant);
        return grant;
      },
    };
    const at = await openRegistry(BARE, { auth: given({ handler: recording }) });
    opened.push(() => at.close());
    return new TokenRegistry({ at, clock, handler, lines, grants });
  }

  /** Asks for what needs `pull` on the repository `a`, or for something else. */
  send(text: string, path = '/v2/a/tags/list', method = 'GET'): Promise<Answer> {
    this.#sent.push(text);
    return this.at.send(method, path, { headers: bearer(text) });
  }

  /** Asserts that a token is let in; answers the grant. */
  async admits(text: string, path?: string, method?: string): Promise<Grant> {
    const before = this.grants.length;
    const answer = await this.send(text, path, method);
    assert.ok(answer.status < 401 || answer.status === 404, `${answer.status} ${answer.headers['www-authenticate']}`);
    return this.grants[before] ?? assert.fail('nothing was granted');
  }

  /** Asserts a 401 that says that the token is no good; nothing was granted. */
  async refuses(text: string, what = 'the token', error = 'invalid_token'): Promise<void> {
    const before = this.grants.length;
    const { status, headers, body } = await this.send(text);
    assert.equal(status, 401, `${what}: ${status}`);
    assert.match(String(headers['www-authenticate']), new RegExp(`,error="${error}"$`), what);
    assert.deepEqual(JSON.parse(body.toString()).errors, [
      { code: 'UNAUTHORIZED', message: 'authentication required' },
    ]);
    assert.equal(this.grants.length, before, what);
  }

  /** Asserts that no log line has anything of a token that was sent. */
  assertSilent(): void {
    const log = inspect([this.at.log, this.at.errors, this.lines], { depth: null, maxStringLength: null });
    const parts = this.#sent.flatMap((text) => text.split('.')).filter((part) => part.length > 16);
    for (const part of parts) assert.ok(!log.includes(part), 'a part of a token is in the log');
    assert.deepEqual(this.at.errors, []);
  }
}

/** Writes a file for a test; answers its path. */
export async function fileOf(content: string | object, path = join(tempFolder(), 'keys')): Promise<string> {
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

/** A web server on a free port. */
export class KeyServer {
  answer: RequestListener;
  asked = 0;
  readonly #server: Server;

  private constructor(answer: RequestListener) {
    this.answer = answer;
    this.#server = createServer((request, response) => {
      this.asked += 1;
      this.answer(request, response);
    });
  }

  static async start(answer: RequestListener): Promise<KeyServer> {
    const server = new KeyServer(answer);
    await server.listen(0);
    opened.push(() => server.stop());
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(port: number): Promise<void> {
    await once(this.#server.listen(port, '127.0.0.1'), 'listening');
  }

  /** Also ends what is under way; may be repeated. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** Answers a document. */
export function serving(document: string | object): RequestListener {
  const text = typeof document === 'string' ? document : JSON.stringify(document);
  return (_request, response) => void response.setHeader('Content-Type', 'application/json').end(text);
}

/** How often signatures are verified while `work` goes on. */
export async function signaturesDuring(work: () => Promise<unknown>): Promise<number> {
  const { subtle } = globalThis.crypto;
  const { verify } = subtle;
  let count = 0;
  subtle.verify = (...args) => {
    count += 1;
    return verify.apply(subtle, args);
  };
  try {
    await work();
  } finally {
    subtle.verify = verify;
  }
  return count;
}
