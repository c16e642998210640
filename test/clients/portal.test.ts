// The portal example as it is started by hand: a browser with a session cookie, skopeo with a personal
// token, and those who have neither.
import { randomBytes, scryptSync } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { basic, password } from '../support/credentials.js';
import { makeImage } from '../support/images.js';
import { digestLike, readLayout } from '../support/oci-layout.js';
import { type RunningProcess, startProcess } from '../support/process.js';
import { randomImage } from '../support/random-image.js';
import { suiteNeeding } from '../support/requires.js';
import { skopeo } from '../support/skopeo.js';
import { tempFolder } from '../support/temp-folder.js';

const SERVER = fileURLToPath(new URL('../../examples/portal/server.js', import.meta.url));
const PEOPLE = ['alice', 'bob'];

/** An entry of PORTAL_PEOPLE. */
function entryOf(name: string): string {
  const salt = randomBytes(16);
  return [name, salt.toString('hex'), scryptSync(password(name), salt, 32).toString('hex')].join(':');
}

interface Portal extends RunningProcess {
  readonly host: string;
  readonly url: string;
}

async function startPortal(): Promise<Portal> {
  const portal = await startProcess(process.execPath, [SERVER], {
    ready: /listens on http:\/\/(127\.0\.0\.1:\d+)\/portal\//,
    env: {
      HOST: '127.0.0.1',
      PORT: '0',
      REGISTRY_ROOT: tempFolder(),
      LOG_LEVEL: 'debug',
      PORTAL_PEOPLE: PEOPLE.map(entryOf).join(' '),
    },
  });
  const host = portal.match?.[1] ?? '';
  return { ...portal, host, url: `http://${host}` };
}

/** Somebody's browser, on a page of the portal: it keeps cookies, and says where a request comes from. */
class Browser {
  readonly #portal: string;
  readonly #cookies = new Map<string, string>();

  constructor(portal: string) {
    this.#portal = `${portal}/portal/`;
  }

  get cookie(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  /** What the last answer said of each cookie. */
  setCookies: readonly string[] = [];

  async send(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { Cookie: this.cookie, 'Sec-Fetch-Site': 'same-origin', ...init.headers };
    const url = new URL(path, this.#portal);
    const answer = await fetch(url, { redirect: 'manual', ...init, method, headers });
    this.setCookies = answer.headers.getSetCookie();
    for (const cookie of this.setCookies) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      if (value === '') this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return answer;
  }

  submit(path: string, fields: Readonly<Record<string, string>> = {}): Promise<Response> {
    return this.send('POST', path, { body: new URLSearchParams(fields) });
  }

  logIn(user: string, pass = password(user)): Promise<Response> {
    return this.submit('login', { user, password: pass });
  }

  async status(method: string, path: string, init: RequestInit = {}): Promise<number> {
    const answer = await this.send(method, path, init);
    await answer.arrayBuffer();
    return answer.status;
  }

  async json(path: string): Promise<unknown> {
    const answer = await this.send('GET', path);
    assert.is(answer.status, 200, path);
    return answer.json();
  }

  async newToken(): Promise<string> {
    const html = await (await this.submit('tokens')).text();
    const [, token = ''] = /<code id="token">([\w-]+)<\/code>/.exec(html) ?? [];
    assert.match(token, /^portal_[\w-]{43}$/);
    return token;
  }

  /** Pushes a small image; answers the status of its last request, or of the first that is refused. */
  async push(repository: string, tag: string): Promise<number> {
    const image = randomImage({ layers: [100] });
    for (const [digest, bytes] of image.blobs) {
      const status = await this.status('POST', `v2/${repository}/blobs/uploads/?digest=${digest}`, { body: bytes });
      if (status !== 201) return status;
    }
    const headers = { 'Content-Type': image.mediaType };
    return this.status('PUT', `v2/${repository}/manifests/${tag}`, { body: image.bytes, headers });
  }
}

const test = suite('portal');
let portal: Portal;

async function loggedIn(user: string): Promise<Browser> {
  const browser = new Browser(portal.url);
  assert.is((await browser.logIn(user)).status, 302);
  return browser;
}

test.before(async () => {
  portal = await startPortal();
});
test.after(() => portal.stop());

test('only a person with the right password gets in', async () => {
  const browser = new Browser(portal.url);
  assert.is((await browser.send('GET', './')).headers.get('Location'), '/portal/login');
  assert.is((await browser.send('POST', 'tokens')).headers.get('Location'), '/portal/login');
  for (const [user, pass] of [
    ['alice', 'bob'],
    ['mallory', 'mallory'],
    ['', ''],
    ['__proto__', 'alice'],
  ] as const) {
    assert.is((await browser.logIn(user, password(pass))).status, 403);
    assert.equal(browser.setCookies, []);
  }
  const answer = await browser.logIn('alice');
  assert.is(answer.headers.get('Location'), '/portal/');
  assert.match(browser.setCookies.join(), /^portal-session=[\w-]{43};.*; samesite=lax; httponly$/);
  const home = await browser.send('GET', './');
  assert.match(await home.text(), /Images, alice/);
  assert.is((await browser.send('GET', '/portal')).headers.get('Location'), '/portal/');
});

test('a login has an id of its own, and ends', async () => {
  const browser = await loggedIn('alice');
  const first = browser.cookie;
  await browser.logIn('alice');
  assert.is.not(browser.cookie, first);
  const old = (cookie: string) => browser.status('GET', 'v2/', { headers: { Cookie: cookie } });
  assert.is(await old(first), 401);
  const last = browser.cookie;
  assert.is(await old(last), 200);
  await browser.submit('logout');
  assert.is(browser.cookie, '');
  assert.is(await old(last), 401);
});

test('with the cookie a browser reads what there is, and the start page’s script is there to do so', async () => {
  const alice = await loggedIn('alice');
  assert.is(await alice.push('alice/hello', '1.0'), 201);
  assert.is(await alice.push('alice/hello', '1.1'), 201);
  const bob = await loggedIn('bob');
  assert.equal(await bob.json('v2/_catalog'), { repositories: ['alice/hello'] });
  assert.equal(await bob.json('v2/alice/hello/tags/list'), { name: 'alice/hello', tags: ['1.0', '1.1'] });
  const home = await bob.send('GET', './');
  assert.match(await home.text(), /<script src="browse\.js"/);
  const script = await bob.send('GET', 'browse.js');
  assert.match(script.headers.get('Content-Type') ?? '', /javascript/);
});

test('one may push and delete what is one’s own, and nothing of others', async () => {
  const alice = await loggedIn('alice');
  for (const others of ['bob/app', 'alice', 'alicea/app', 'library/app']) {
    assert.is(await alice.push(others, '1'), 403, others);
  }
  assert.is(await alice.push('alice/app', '1'), 201);
  const bob = await loggedIn('bob');
  assert.is(await bob.status('DELETE', 'v2/alice/app/manifests/1'), 403);
  assert.is(await alice.status('DELETE', 'v2/alice/app/manifests/1'), 202);
});

test('a page of another site may not use the session', async () => {
  const alice = await loggedIn('alice');
  for (const headers of [{ 'Sec-Fetch-Site': 'cross-site' }, { 'Sec-Fetch-Site': 'same-site' }]) {
    assert.is(await alice.status('POST', 'v2/alice/app/blobs/uploads/', { headers }), 403);
    assert.is(await alice.status('DELETE', 'v2/alice/hello/manifests/1.0', { headers }), 403);
  }
  assert.is(await alice.status('POST', 'v2/alice/app/blobs/uploads/'), 202);
});

test('without a cookie, or with a wrong token, one is asked to log in, also beside a session', async () => {
  const alice = await loggedIn('alice');
  const token = await alice.newToken();
  const nobody = new Browser(portal.url);
  assert.is(await nobody.status('GET', 'v2/alice/hello/tags/list'), 401);
  const answer = await nobody.send('GET', 'v2/', { headers: { Cookie: 'portal-session=guessed' } });
  assert.is(answer.status, 401);
  assert.is(answer.headers.get('WWW-Authenticate'), 'Basic realm="Portal"');
  for (const headers of [
    basic('alice', password('alice')),
    basic('bob', token),
    { Authorization: `Bearer ${token}` },
  ]) {
    assert.is(await nobody.status('GET', 'v2/', { headers }), 401);
    assert.is(await alice.status('GET', 'v2/', { headers }), 401);
  }
  assert.is(await nobody.status('GET', 'v2/', { headers: basic('alice', token) }), 200);
  assert.is(await nobody.status('GET', 'v2/', { headers: basic('alice', await alice.newToken()) }), 200);
  assert.is(await nobody.status('GET', 'v2/', { headers: basic('alice', token) }), 401, 'a new token replaces the old');
});

test('nothing of a password, a token or a session is in what it writes', async () => {
  const alice = await loggedIn('alice');
  const token = await alice.newToken();
  const headers = basic('alice', token);
  assert.is(await alice.status('GET', 'v2/nothing/tags/list', { headers }), 404);
  const session = alice.cookie.split('=')[1] ?? '';
  for (const secret of [password(''), token, headers.Authorization, session]) {
    assert.not(portal.output().includes(secret), 'a secret is in the log');
  }
  assert.match(portal.output(), /"actor":"alice"/);
});

test('without PORTAL_PEOPLE two people get new passwords, and a bad entry is named', async () => {
  const env = { HOST: '127.0.0.1', PORT: '0', REGISTRY_ROOT: tempFolder() };
  const demo = await startProcess(process.execPath, [SERVER], { ready: /http:\/\/([\d.:]+)\/portal\//, env });
  const [, pass = ''] = /alice's password is (\S+)/.exec(demo.output()) ?? [];
  const browser = new Browser(`http://${demo.match?.[1]}`);
  assert.is((await browser.logIn('alice', pass)).status, 302);
  await demo.stop();
  let failure = '';
  await startProcess(process.execPath, [SERVER], {
    ready: /listens/,
    env: { ...env, PORTAL_PEOPLE: 'carol:plain' },
  }).catch((error: Error) => {
    failure = error.message;
  });
  assert.match(failure, /the entry of "carol" is not name:salt:digest/);
});

test.run();

const withSkopeo = suiteNeeding('portal, skopeo', ['skopeo', 'umoci']);
let token = '';

const image = (name: string) => `docker://${portal.host}/${name}`;

async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('it was done');
}

withSkopeo.before(async () => {
  portal = await startPortal();
  token = await (await loggedIn('alice')).newToken();
});
withSkopeo.after(() => portal.stop());

withSkopeo('nobody gets in without a login', async () => {
  const message = await refusal(skopeo('inspect', '--tls-verify=false', image('alice/app:1')));
  assert.match(message, /authentication required|unauthorized/i);
});

withSkopeo('a token is what one logs in with, and a wrong one is refused', async () => {
  const login = (pass: string) => skopeo('login', '--tls-verify=false', '-u', 'alice', '-p', pass, portal.host);
  assert.match(await refusal(login(password('alice'))), /invalid username\/password|unauthorized/i);
  assert.match(await login(token), /Login Succeeded/);
});

withSkopeo('an image goes where one may push, and comes back as it was', async () => {
  const [source, target] = [tempFolder(), tempFolder()];
  const { digest } = await makeImage(source);
  await skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${source}:latest`, image('alice/app:1'));
  await skopeo('copy', '--quiet', '--src-tls-verify=false', image('alice/app:1'), `oci:${target}:latest`);
  assert.equal(await readLayout(target), await readLayout(source));
  const raw = await skopeo('inspect', '--raw', '--tls-verify=false', image('alice/app:1'));
  assert.is(digestLike(Buffer.from(raw)), digest);
  const denied = skopeo('copy', '--quiet', '--dest-tls-verify=false', `oci:${source}:latest`, image('bob/app:1'));
  assert.match(await refusal(denied), /denied/i);
});

withSkopeo('what skopeo has pushed a browser sees, and skopeo what a browser has', async () => {
  const alice = await loggedIn('alice');
  assert.equal(await alice.json('v2/_catalog'), { repositories: ['alice/app'] });
  assert.is(await (await loggedIn('bob')).push('bob/page', '1'), 201);
  const tags = JSON.parse(await skopeo('list-tags', '--tls-verify=false', image('bob/page'))) as { Tags: string[] };
  assert.equal(tags.Tags, ['1']);
});

withSkopeo('one deletes what is one’s own', async () => {
  assert.match(await refusal(skopeo('delete', '--tls-verify=false', image('bob/page:1'))), /denied|403|Forbidden/i);
  await skopeo('delete', '--tls-verify=false', image('alice/app:1'));
  assert.match(await refusal(skopeo('inspect', '--tls-verify=false', image('alice/app:1'))), /unknown/);
});

withSkopeo.run();
