// `auth/htpasswd`: what a password file may hold, how its changes come into force, what a login costs
// and what stays of it. Comparisons are counted where they are real: at Node's thread pool.
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { truncateSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { basename, join } from 'node:path';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { promisify } from 'node:util';
import { getHeapSnapshot } from 'node:v8';
import bcrypt from 'bcrypt';
import Koa from 'koa';
import {
  type AuthHandler,
  Challenge,
  type Grant,
  OptionsError,
  parseScopes,
  RegistryError,
  startPlugin,
} from 'koa-registry';
import { htpasswd } from 'koa-registry/plugins/auth/htpasswd';
import { suite } from 'uvu';
import { parseEntries } from '../../plugins/auth/htpasswd/entries.js';
import { recordingLogger } from '../http/host-service.js';
import { answered, empty, json, refused } from '../http/suite/answers.js';
import { wireSuite } from '../http/suite/index.js';
import { index, pushBlob, pushManifest } from '../support/content.js';
import { basic, bearer, password } from '../support/credentials.js';
import { BARE } from '../support/registry.js';
import { tempFolder } from '../support/temp-folder.js';

/** The cheapest cost that there is. */
const CHEAP = 4;
/** Some 50 ms: long beside everything else that a test does. */
const DEAR = 10;

function line(name: string, secret = password(name), cost = CHEAP): string {
  return `${name}:${bcrypt.hashSync(secret, cost)}\n`;
}

/** Writes lines to a new file. */
async function passwordFile(...lines: string[]): Promise<string> {
  const path = join(tempFolder(), 'users.htpasswd');
  await writeFile(path, lines.join(''));
  return path;
}

/** Lets everything go on that waits neither for a thread nor for a timer: nothing else can end meanwhile. */
function drained(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** Asynchronous work that Node itself tells of: how much was begun, and how much at once at most. */
class Work {
  readonly #isMeant: (type: string) => boolean;
  readonly #underWay = new Set<number>();
  begun = 0;
  most = 0;

  constructor(isMeant: (type: string) => boolean) {
    this.#isMeant = isMeant;
    createHook({ init: (id, type) => this.#begin(id, type), before: (id) => this.#underWay.delete(id) }).enable();
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  /** How much `work` begins. */
  async during(work: () => Promise<unknown>): Promise<number> {
    const before = this.begun;
    this.most = this.#underWay.size;
    await work();
    return this.begun - before;
  }

  #begin(id: number, type: string): void {
    if (!this.#isMeant(type)) return;
    this.begun += 1;
    this.#underWay.add(id);
    this.most = Math.max(this.most, this.#underWay.size);
  }
}

const comparisons = new Work((type) => type === 'bcrypt:CompareAsyncWorker');
const fileCalls = new Work((type) => type.startsWith('FSREQ'));

const app = new Koa();

const OPTIONAL = parseScopes('repository:a:pull');

interface HandlerOptions {
  readonly path: string;
  readonly cacheFor?: number | string;
}

/** A handler at work, asked by Koa's own contexts, with a clock that the test turns. */
class OpenHandler {
  readonly #instance: AuthHandler;
  readonly close: () => Promise<void>;
  readonly log: ReturnType<typeof recordingLogger>['lines'];
  readonly #time: { now: number };

  private constructor(parts: Pick<OpenHandler, 'close' | 'log'>, instance: AuthHandler, time: { now: number }) {
    this.close = parts.close;
    this.log = parts.log;
    this.#instance = instance;
    this.#time = time;
  }

  static async start(options: HandlerOptions): Promise<OpenHandler> {
    const { logger, lines: log } = recordingLogger();
    const time = { now: Date.now() };
    const { instance, close } = await startPlugin(htpasswd(options), { logger, clock: () => time.now });
    return new OpenHandler({ close, log }, instance, time);
  }

  wait(milliseconds: number): void {
    this.#time.now += milliseconds;
  }

  async authorize(headers: object, signal = new AbortController().signal): Promise<Grant> {
    const request = new IncomingMessage(new Socket());
    for (const [name, value] of Object.entries(headers)) request.headers[name.toLowerCase()] = value;
    const ctx = app.createContext(request, new ServerResponse(request));
    return this.#instance.authorize({ required: [], optional: OPTIONAL, ctx, signal });
  }

  login(name: string, secret = password(name), signal?: AbortSignal): Promise<Grant> {
    return this.authorize(basic(name, secret), signal);
  }

  /** Whether a login succeeds; anything but a grant and a challenge is a failure of the test. */
  async admits(name: string, secret = password(name)): Promise<boolean> {
    try {
      const { actor, granted } = await this.login(name, secret);
      assert.deepEqual(granted, OPTIONAL);
      assert.equal(actor?.name, name);
      return true;
    } catch (error) {
      if (error instanceof Challenge) return false;
      throw error;
    }
  }

  async check(): Promise<string> {
    const ask = this.#instance.check?.bind(this.#instance) ?? assert.fail('there is no check');
    return ask().then(
      () => 'ok',
      (error: unknown) => (error as Error).message,
    );
  }

  messages(level: number): string[] {
    return this.log.filter((entry) => entry.level === level).map(({ err, msg }) => messageOf(err) ?? msg);
  }
}

function messageOf(error: unknown): string | undefined {
  return (error as { message?: string } | undefined)?.message;
}

const ERROR = 50;

const test = suite('auth/htpasswd');
const opened: OpenHandler[] = [];

test.after.each(async () => {
  for (const { close } of opened.splice(0)) await close();
});

async function open(options: HandlerOptions): Promise<OpenHandler> {
  const handler = await OpenHandler.start(options);
  opened.push(handler);
  return handler;
}

/** What a file of these lines is refused with. */
async function refusal(...lines: string[]): Promise<string> {
  const path = await passwordFile(...lines);
  const error: unknown = await open({ path }).then(
    () => assert.fail('it was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof Error);
  assert.ok(error.message.startsWith(path), error.message);
  return error.message.replaceAll(path, basename(path));
}

// What a file may hold

test('names with bcrypt hashes, between comments and blank lines, with the line ends of any system', async () => {
  const lines = ['\uFEFF# who may log in\r\n', '\r\n', line('ada').replace('\n', '\r\n'), '  \t\n', '  # more\n'];
  const at = await open({ path: await passwordFile(...lines, `  ${line('bob')}`, line('eve').trim()) });
  for (const name of ['ada', 'bob', 'eve']) assert.ok(await at.admits(name), name);
  assert.ok(!(await at.admits('ada', password('bob'))));
  assert.ok(!(await at.admits('# who may log in')));
});

test('hashes of every version, as other programs write them', async () => {
  // Made by crypt(3) of "canary-grüße".
  const made = 'abcdefghijklmnopqrstuu/de2cKZsXXDGtwzmRDkWR11yOmXXTWK';
  const spareBits = made.replace('uu/', 'uz/');
  const lines = [`a:$2a$05$${made}\n`, `b:$2b$05$${made}\n`, `y:$2y$05$${made}\n`, `s:$2y$05$${spareBits}\n`];
  const at = await open({ path: await passwordFile(...lines) });
  for (const name of ['a', 'b', 'y', 's']) {
    assert.ok(await at.admits(name, 'canary-grüße'), name);
    assert.ok(!(await at.admits(name, 'canary-grusse')), name);
  }
});

test('passwords with colons, of other alphabets, and none at all', async () => {
  const secrets = { colons: ':canary::x:', chinese: 'canary-密码-🔑', blank: ' canary ', none: '' };
  const names = Object.entries(secrets);
  const at = await open({
    path: await passwordFile(...names.map(([name, secret]) => line(name, secret)), line('zoë')),
  });
  for (const [name, secret] of names) {
    assert.ok(await at.admits(name, secret), name);
    assert.ok(!(await at.admits(name, `${secret}x`)), name);
  }
  assert.ok(await at.admits('zoë'));
  assert.ok(!(await at.admits('colons', '')));
});

test('of a password the first 72 bytes count, as with every bcrypt', async () => {
  const counted = 'canary-'.padEnd(72, '0123456789');
  // Made by crypt(3) of a longer password.
  const foreign = '$2y$05$abcdefghijklmnopqrstuu72fAbNJT2CPXhx.WVsaGIqmAz2weuNi';
  const long = `canary-${'0123456789'.repeat(7)}beyond the 72nd byte`;
  const longest = long.padEnd(300, 'x');
  const lines = [line('exact', counted), `longer:${foreign}\n`, line('longest', longest).replace('$2b$', '$2a$')];
  const at = await open({ path: await passwordFile(...lines) });
  assert.ok(await at.admits('exact', counted));
  assert.ok(!(await at.admits('exact', counted.slice(0, 71))));
  assert.ok(!(await at.admits('exact', `${counted.slice(0, 71)}x`)));
  assert.ok(await at.admits('longer', long));
  // Where a length wraps around, next to nothing of it would count.
  assert.ok(await at.admits('longest', longest));
  assert.ok(!(await at.admits('longest', longest.slice(0, 300 - 256))));
});

test('a line that is no entry is named by its number, and all of them at once', async () => {
  const lines = [
    line('ada'),
    'canary-no-colon\n',
    '\n',
    'canary-md5:$apr1$zfUKSRYc$ikQQt8Q5AXSI4JxFuGQw3/\n',
    line(''),
    line('ada', 'canary-other'),
    line('long').replace('\n', 'x\n'),
    line('cheap').replace('$04$', '$03$'),
    line('dear').replace('$04$', '$32$'),
    line('old').replace('$2b$', '$2x$'),
    'canary-plain:canary\n',
  ];
  const message = await refusal(...lines);
  const expected = [
    '2: no colon between a name and a hash',
    '4: not a bcrypt hash',
    '5: no name',
    '6: a name that is there already',
    ...[7, 8, 9, 10, 11].map((number) => `${number}: not a bcrypt hash`),
  ];
  assert.deepEqual(
    message.split('\n'),
    expected.map((problem) => `users.htpasswd:${problem}`),
  );
});

test('a name in another encoding than UTF-8 is refused, for nobody could log in by it', async () => {
  const path = await passwordFile();
  await writeFile(path, Buffer.from(line('zoë'), 'latin1'));
  await assert.rejects(open({ path }), { message: `${path}:1: not UTF-8` });
});

test('a file that is missing, or none, keeps the handler from starting', async () => {
  const path = join(tempFolder(), 'users.htpasswd');
  await assert.rejects(open({ path }), { message: `${path}: cannot be read` });
  await mkdir(path);
  await assert.rejects(open({ path }), { message: `${path}: cannot be read` });
  // Opening a pipe would wait for somebody to write into it.
  const pipe = join(tempFolder(), 'pipe');
  await promisify(execFile)('mkfifo', [pipe]);
  await assert.rejects(open({ path: pipe }), { message: `${pipe}: cannot be read` });
});

test('an empty file admits nobody', async () => {
  const at = await open({ path: await passwordFile() });
  assert.ok(!(await at.admits('ada')));
  assert.ok(!(await at.admits('')));
  assert.equal(await at.check(), 'ok');
});

test('options that are wrong are named', async () => {
  const problems = async (options: object) => {
    const error: unknown = await startPlugin(htpasswd(options as HandlerOptions)).catch((thrown: unknown) => thrown);
    return error instanceof OptionsError ? error.problems.map(({ path }) => path) : error;
  };
  assert.deepEqual(await problems({ realm: 'a\nb', cacheFor: 'long' }), [
    'auth.htpasswd.realm',
    'auth.htpasswd.path',
    'auth.htpasswd.cacheFor',
  ]);
  assert.deepEqual(await problems({ realm: '', path: '' }), ['auth.htpasswd.realm', 'auth.htpasswd.path']);
  assert.deepEqual(await problems({ path: 'x', passwords: 'y' }), ['auth.htpasswd.passwords']);
});

// How changes come into force

/** Ways to put other content where a file stands. */
const CHANGES: Readonly<Record<string, (path: string, content: string) => Promise<void>>> = {
  'written in place': (path, content) => writeFile(path, content),
  'replaced by another': async (path, content) => {
    await writeFile(`${path}~`, content);
    await rename(`${path}~`, path);
  },
  'removed and made again': async (path, content) => {
    await rm(path);
    await writeFile(path, content);
  },
};

for (const [how, change] of Object.entries(CHANGES)) {
  test(`${how}: a change is in force a second later, in both directions`, async () => {
    const path = await passwordFile(line('ada'), line('bob'));
    const at = await open({ path });
    assert.ok(await at.admits('ada'));
    await change(path, line('bob', 'canary-new') + line('eve'));
    at.wait(999);
    assert.ok(await at.admits('ada'), 'it was looked at too soon');
    assert.ok(!(await at.admits('eve')));
    at.wait(1);
    assert.ok(!(await at.admits('ada')));
    assert.ok(!(await at.admits('bob')));
    assert.ok(await at.admits('bob', 'canary-new'));
    assert.ok(await at.admits('eve'));
    assert.deepEqual(at.messages(ERROR), []);
  });
}

test('a symlink that is put somewhere else, as Kubernetes does with a secret, is followed', async () => {
  const folder = tempFolder();
  const path = join(folder, 'users.htpasswd');
  for (const [version, name] of Object.entries({ '..v1': 'ada', '..v2': 'eve' })) {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, 'users.htpasswd'), line(name));
  }
  await symlink('..v1', join(folder, '..now'));
  await symlink(join('..now', 'users.htpasswd'), path);
  const at = await open({ path });
  assert.ok(await at.admits('ada'));
  await symlink('..v2', join(folder, '..next'));
  await rename(join(folder, '..next'), join(folder, '..now'));
  at.wait(1_000);
  assert.ok(!(await at.admits('ada')));
  assert.ok(await at.admits('eve'));
});

test('two changes within one tick of the file system, of the same length, are two', async () => {
  const [ada, bob] = [line('ada'), line('bob')];
  const path = await passwordFile(ada);
  const at = await open({ path });
  for (let round = 0; round < 20; round++) {
    const [name, content] = round % 2 === 0 ? ['bob', bob] : ['ada', ada];
    await writeFile(path, content);
    at.wait(1_000);
    assert.ok(await at.admits(name), `round ${round}`);
  }
});

test('a changed password ends what was remembered of the old one', async () => {
  const path = await passwordFile(line('ada'));
  const at = await open({ path });
  assert.ok(await at.admits('ada'));
  await writeFile(path, line('ada', 'canary-new'));
  at.wait(1_000);
  assert.ok(!(await at.admits('ada')));
  assert.ok(await at.admits('ada', 'canary-new'));
});

test('who is removed while the password is being compared is not let in', async () => {
  const path = await passwordFile(line('ada', undefined, DEAR));
  const at = await open({ path });
  const login = at.admits('ada');
  await drained();
  assert.equal(comparisons.underWay, 1);
  truncateSync(path);
  at.wait(1_000);
  assert.ok(!(await login));
});

test('a file that turns bad leaves the last good entries in force, is logged once, and is mended', async () => {
  const path = await passwordFile(line('ada'));
  const at = await open({ path });
  await writeFile(path, `${line('eve')}canary-no-hash:x\n`);
  for (let look = 0; look < 3; look++) {
    at.wait(1_000);
    assert.ok(await at.admits('ada'));
    assert.ok(!(await at.admits('eve')));
    assert.equal(await at.check(), `${path}:2: not a bcrypt hash`);
  }
  assert.deepEqual(at.messages(ERROR), [`${path}:2: not a bcrypt hash`]);
  await writeFile(path, `${line('eve')}canary-still-no-hash:x\n`);
  at.wait(1_000);
  await at.admits('ada');
  assert.equal(at.messages(ERROR).length, 2, 'another bad file is another change');
  await writeFile(path, line('eve'));
  at.wait(1_000);
  assert.equal(await at.check(), 'ok');
  assert.ok(!(await at.admits('ada')));
  assert.ok(await at.admits('eve'));
  assert.ok(!JSON.stringify(at.log).includes('canary'));
});

test('a file that vanishes leaves the last good entries in force, is logged once, and comes back', async () => {
  const path = await passwordFile(line('ada'));
  const at = await open({ path });
  await rename(path, `${path}~`);
  for (let look = 0; look < 3; look++) {
    at.wait(1_000);
    assert.ok(await at.admits('ada'));
    assert.equal(await at.check(), `${path}: cannot be read`);
  }
  assert.equal(at.messages(ERROR).length, 1);
  await mkdir(path);
  at.wait(1_000);
  assert.ok(await at.admits('ada'));
  assert.equal(at.messages(ERROR).length, 2, 'a folder in its place is another change');
  await rm(path, { recursive: true });
  await rename(`${path}~`, path);
  at.wait(1_000);
  assert.equal(await at.check(), 'ok');
  assert.ok(await at.admits('ada'));
});

test('health is asked of the file as it is now, also when nobody logs in', async () => {
  const path = await passwordFile(line('ada'));
  const at = await open({ path });
  await rm(path);
  at.wait(1_000);
  assert.equal(await at.check(), `${path}: cannot be read`);
});

test('many requests share one look, which those without a password do not need', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  const logins = (count: number) => () => Promise.all(Array.from({ length: count }, () => at.admits('ada')));
  await logins(1)();
  assert.equal(await fileCalls.during(logins(50)), 0);
  at.wait(1_000);
  const one = await fileCalls.during(logins(1));
  assert.ok(one > 0);
  at.wait(1_000);
  assert.ok((await fileCalls.during(logins(50))) <= one);
  at.wait(1_000);
  const slow = async () => {
    const first = at.admits('ada');
    await drained();
    at.wait(1_000);
    await Promise.all([first, at.admits('ada')]);
  };
  assert.ok((await fileCalls.during(slow)) <= one, 'a look that takes long is not shared');
  at.wait(1_000);
  for (const headers of [{}, basic('', ''), bearer('canary-token'), { Authorization: 'Basic canary' }]) {
    assert.equal(await fileCalls.during(() => assert.rejects(at.authorize(headers), Challenge)), 0);
  }
});

test('a clock that is put back does not put off the next look', async () => {
  const path = await passwordFile(line('ada'));
  const at = await open({ path });
  await writeFile(path, line('eve'));
  at.wait(-3_600_000);
  assert.ok(await at.admits('eve'));
});

test('a file that has not changed for a while is looked at and not read', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  await at.login('ada');
  const look = () => {
    at.wait(1_000);
    return fileCalls.during(() => at.login('ada'));
  };
  // The file system's clock is the only one that nobody turns.
  while ((await look()) !== 1) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(await look(), 1);
});

// What a login costs

test('many requests with one credential make one comparison, and later ones none', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  const burst = () => Promise.all(Array.from({ length: 200 }, () => at.login('ada')));
  assert.equal(await comparisons.during(burst), 1);
  assert.equal(await comparisons.during(burst), 0);
});

test('what was right is remembered for as long as the option says, and not longer for being used', async () => {
  const at = await open({ path: await passwordFile(line('ada')), cacheFor: '10s' });
  assert.equal(await comparisons.during(() => at.login('ada')), 1);
  for (let second = 1; second <= 10; second++) {
    at.wait(1_000);
    assert.equal(await comparisons.during(() => at.login('ada')), 0, `${second} s`);
  }
  at.wait(1);
  assert.equal(await comparisons.during(() => at.login('ada')), 1);
});

test('a cacheFor of 0 remembers nothing', async () => {
  const at = await open({ path: await passwordFile(line('ada')), cacheFor: 0 });
  for (let login = 0; login < 3; login++) assert.equal(await comparisons.during(() => at.login('ada')), 1);
});

test('what was wrong is not remembered', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  for (let login = 0; login < 3; login++) {
    assert.equal(await comparisons.during(() => at.admits('ada', 'canary-wrong')), 1);
  }
});

test('a file that is touched and says the same costs no comparison', async () => {
  const content = line('ada');
  const path = await passwordFile(content);
  const at = await open({ path });
  await at.login('ada');
  await writeFile(path, `# a comment\n${content}`);
  at.wait(1_000);
  assert.equal(await comparisons.during(() => at.login('ada')), 0);
});

test('an unknown name costs what a wrong password does: one comparison, with the highest cost of the file', async () => {
  const content = line('ada', undefined, 6) + line('bob', undefined, 7) + line('eve', undefined, 5);
  const at = await open({ path: await passwordFile(content) });
  assert.equal(await comparisons.during(() => at.admits('ada', 'canary-wrong')), 1);
  for (const name of ['nobody', '', '# comment', '__proto__']) {
    assert.equal(await comparisons.during(() => at.admits(name)), 1, name);
  }
  const { decoy } = parseEntries(content, 'users.htpasswd');
  assert.equal(bcrypt.getRounds(decoy), 7);
  assert.equal(decoy.length, 60);
});

test('a comparison is not the main thread’s work', async () => {
  const at = await open({ path: await passwordFile(line('ada', undefined, DEAR)) });
  const login = at.login('ada');
  await drained();
  assert.equal(comparisons.underWay, 1, 'it was done at once, or not by the thread pool');
  await login;
  assert.equal(comparisons.underWay, 0);
});

test('two comparisons run at once, a hundred wait, and whoever comes then is told to come again', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  const guess = (number: number) => at.login('ada', `canary-${number}`).catch((error: unknown) => error);
  let answers: unknown[] = [];
  const compared = await comparisons.during(async () => {
    answers = await Promise.all(Array.from({ length: 105 }, (_, number) => guess(number)));
  });
  assert.equal(compared, 102);
  assert.equal(comparisons.most, 2);
  const refusals = answers.filter((error) => error instanceof RegistryError && error.code === 'TOOMANYREQUESTS');
  assert.equal(refusals.length, 3);
  for (const { headers } of refusals as RegistryError[]) assert.deepEqual(headers, { 'Retry-After': '1' });
  assert.equal(answers.filter((error) => error instanceof Challenge).length, 102);
  assert.ok(await at.admits('ada'), 'the queue is empty again');
});

test('whoever goes away leaves the queue, and makes room for the next', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  const reason = new Error('the client is gone');
  const guess = (number: number, signal?: AbortSignal) =>
    at.login('ada', `canary-${number}`, signal).catch((error: unknown) => error);
  const compared = await comparisons.during(async () => {
    const staying = [guess(1), guess(2), guess(3)];
    const leaving = Array.from({ length: 99 }, () => new AbortController());
    const gone = leaving.map(({ signal }, number) => guess(1_000 + number, signal));
    await drained();
    for (const client of leaving) client.abort(reason);
    assert.deepEqual(new Set(await Promise.all(gone)), new Set([reason]));
    const answers = await Promise.all([...staying, ...Array.from({ length: 90 }, (_, number) => guess(10 + number))]);
    for (const answer of answers) assert.ok(answer instanceof Challenge);
  });
  assert.equal(compared, 93);
});

test('who goes away does not take the answer from who asks the same', async () => {
  const at = await open({ path: await passwordFile(line('ada')) });
  const leaving = new AbortController();
  const compared = await comparisons.during(async () => {
    const before = [1, 2].map((number) => assert.rejects(at.login('ada', `canary-${number}`), Challenge));
    const gone = assert.rejects(at.login('ada', password('ada'), leaving.signal), { message: 'gone' });
    const staying = at.login('ada');
    await drained();
    leaving.abort(new Error('gone'));
    await gone;
    assert.equal(comparisons.underWay, 2, 'the answer was waited for');
    assert.equal((await staying).actor?.name, 'ada');
    await Promise.all(before);
    await assert.rejects(at.login('ada', 'canary-late', leaving.signal), { message: 'gone' });
  });
  assert.equal(compared, 3);
});

test('nothing of a password stays in memory', async () => {
  // Bytes are not among the strings of a heap.
  const secret = Buffer.from(password(randomBytes(12).toString('hex')));
  const encoded = Buffer.from(Buffer.from(`ada:${secret}`).toString('base64'));
  const at = await open({ path: await passwordFile(line('ada', secret.toString())) });
  let kept: string | undefined = secret.toString();
  assert.deepEqual(await inHeap(secret, encoded), [true, false]);
  kept = undefined;
  assert.ok(await at.admits('ada', secret.toString()));
  assert.ok(!(await at.admits('nobody', secret.toString())));
  // V8 keeps the text that was matched last.
  /x/.exec('x');
  assert.deepEqual(await inHeap(secret, encoded), [false, false]);
  assert.equal(await comparisons.during(() => at.admits('ada', secret.toString())), 0, 'it was not even remembered');
  assert.equal(kept, undefined);
});

/** Which of the texts are, or are part of, a string of this process that is still in use. */
async function inHeap(...texts: Buffer[]): Promise<boolean[]> {
  const found = texts.map(() => false);
  const overlap = Math.max(...texts.map(({ length }) => length));
  let tail = Buffer.alloc(0);
  for await (const chunk of getHeapSnapshot()) {
    const bytes = Buffer.concat([tail, Buffer.from(chunk)]);
    for (const [number, text] of texts.entries()) found[number] ||= bytes.includes(text);
    tail = bytes.subarray(-overlap);
  }
  return found;
}

test.run();

// In a registry

wireSuite('auth/htpasswd', BARE, (test, open) => {
  test('who is in the file may do everything, and is named in the log', async () => {
    const auth = htpasswd({ path: await passwordFile(line('ada')) });
    const bare = await open();
    const digest = await pushBlob(bare, 'source', 'x');
    await pushManifest(bare, 'source', index([]));
    const at = await open({ auth, driver: bare.storage });
    const headers = basic('ada', password('ada'));
    answered(await at.send('GET', '/v2/', { headers }), 200);
    assert.deepEqual(json(await at.send('GET', '/v2/_catalog', { headers })), { repositories: ['source'] });
    empty(await at.send('POST', '/v2/a/blobs/uploads/', { headers }), 202);
    empty(await at.send('POST', `/v2/a/blobs/uploads/?mount=${digest}&from=source`, { headers }), 201);
    empty(await at.send('POST', `/v2/b/blobs/uploads/?mount=${digest}`, { headers }), 201);
    refused(await at.send('DELETE', '/v2/a/manifests/v1', { headers }), 404, 'MANIFEST_UNKNOWN');
    const refusals = at.log.filter(({ message }) => message === 'request refused');
    assert.deepEqual(new Set(refusals.map(({ fields }) => fields.actor)), new Set(['ada']));
  });

  test('everybody else is asked for a name and a password, whatever they sent', async () => {
    const auth = htpasswd({ realm: 'The "Portal"', path: await passwordFile(line('ada'), line('none', '')) });
    const at = await open({ auth, failedLogins: { enabled: false } });
    const others = [
      {},
      basic('', ''),
      basic('ada', 'canary-wrong'),
      basic('ada', ''),
      basic('', password('ada')),
      basic('Ada', password('ada')),
      basic('canary-nobody', password('ada')),
      bearer('canary-token'),
      { Authorization: 'Basic' },
      { Authorization: 'Basic canary' },
      { Authorization: `Digest username="ada", response="canary"` },
    ];
    for (const headers of others) {
      const answer = await at.send('GET', '/v2/', { headers });
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(answer.headers['www-authenticate'], 'Basic realm="The \\"Portal\\""');
      refused(await at.send('GET', '/v2/a/tags/list', { headers }), 401, 'UNAUTHORIZED');
    }
    answered(await at.send('GET', '/v2/', { headers: basic('none', '') }), 200);
    assert.ok(!JSON.stringify(at.log).includes('canary'));
  });

  test('the realm is called Registry unless it is named', async () => {
    const at = await open({ auth: htpasswd({ path: await passwordFile() }) });
    assert.equal((await at.send('GET', '/v2/')).headers['www-authenticate'], 'Basic realm="Registry"');
  });

  test('a bad file keeps the registry from serving, until it is mended', async () => {
    const path = await passwordFile(line('ada'), 'canary\n');
    const at = await open({ auth: htpasswd({ path }) });
    const ready = at.registry.ready();
    while (!at.log.some(({ message }) => message.startsWith('plugin cannot start'))) await turnOfTheLoop();
    const problem = `${path}:2: no colon between a name and a hash`;
    assert.deepEqual(await at.registry.health(), { ok: false, ready: false, checks: { 'auth/htpasswd': problem } });
    await writeFile(path, line('ada'));
    await ready;
    answered(await at.send('GET', '/v2/', { headers: basic('ada', password('ada')) }), 200);
    assert.equal((await at.registry.health()).checks.auth, 'ok');
  });

  test('200 requests at once with one password are all served, for one comparison', async () => {
    const at = await open({
      auth: htpasswd({ path: await passwordFile(line('ada', undefined, DEAR)) }),
      failedLogins: { enabled: false },
    });
    const headers = basic('ada', password('ada'));
    const compared = await comparisons.during(async () => {
      const answers = await Promise.all(Array.from({ length: 200 }, () => at.send('GET', '/v2/', { headers })));
      for (const answer of answers) answered(answer, 200);
    });
    assert.equal(compared, 1);
  });
});
