// Counting failed logins: who is held back, for how long, who is refused, and what is forgotten again.
import assert from 'node:assert/strict';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { test } from 'uvu';
import type { Logger } from '../../lib/contracts/index.js';
import { RegistryError } from '../../lib/errors.js';
import { type FailedLoginLimits, FailedLogins, type Login } from '../../lib/services/failed-logins.js';
import { password } from '../support/credentials.js';

/** Timers may be early by a fraction of a millisecond. */
const EARLY = 2;

const RIGHT = password('right');
const WRONG = password('wrong');

/** Each request has a signal of its own. */
const ofARequest = () => new AbortController().signal;

const refusal = new Error('wrong password');
const isRefusal = (error: unknown) => error === refusal;

/** What holds an answer back does not keep a process alive; a test that waits for it has to. */
const awake = setInterval(() => undefined, 60_000);
test.after(() => clearInterval(awake));

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

interface Line {
  readonly level: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

function recorder(lines: Line[]): Logger {
  const at = (level: string) => (fields: Line['fields'], message: string) =>
    void lines.push({ level, fields, message });
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return logger;
}

/** A login and what it proves itself by. */
type Proven = Login & { readonly proof: string };

async function attempt<T>(
  to: FailedLogins,
  login: Proven,
  verify: () => Promise<T> | T,
  failed: (error: unknown) => boolean,
): Promise<T> {
  return to.attempt(login.proof, () => login, verify, failed);
}

interface Guess {
  readonly actor?: string;
  readonly address?: string;
  readonly password?: string;
  readonly signal?: AbortSignal;
}

/** Failed logins by a clock that a test sets, and a handler that knows one password. */
function scene(limits: Partial<FailedLoginLimits> = {}) {
  const lines: Line[] = [];
  const log = recorder(lines);
  const scene = {
    now: 1_000_000,
    /** How many guesses have reached the handler. */
    asked: 0,
    right: RIGHT,
    lines,
    /** What becomes of a guess: the handler's answer, or the code of what is thrown. */
    guess: async ({
      actor = 'alice',
      address = '192.0.2.1',
      password: given = WRONG,
      signal = ofARequest(),
    }: Guess = {}) => {
      const login = { actor, address, proof: `${actor}:${given}`, signal, log };
      const verify = async () => {
        scene.asked += 1;
        await new Promise(setImmediate);
        if (given !== scene.right) throw refusal;
        return 'welcome';
      };
      return attempt(failedLogins, login, verify, isRefusal).catch((error: unknown) => {
        if (error === refusal) return 'wrong';
        throw error;
      });
    },
    /** The seconds after which a guess that is refused may be repeated. */
    retryAfter: async (guess: Guess = {}) => {
      try {
        await scene.guess(guess);
      } catch (error) {
        assert.ok(error instanceof RegistryError);
        assert.equal(error.code, 'TOOMANYREQUESTS');
        return error.headers['Retry-After'];
      }
      return assert.fail('not refused');
    },
  };
  const failedLogins = new FailedLogins(
    { delay: 0, maxDelay: 0, limit: 3, window: 60_000, ...limits },
    () => scene.now,
  );
  return scene;
}

async function fail(at: ReturnType<typeof scene>, times: number, guess: Guess = {}): Promise<void> {
  for (let count = 0; count < times; count += 1) assert.equal(await at.guess(guess), 'wrong');
}

test('the answer to a failure is held back, twice as long each time', async () => {
  const at = scene({ delay: 20, maxDelay: 1_000 });
  for (const pause of [20, 40, 80]) {
    const started = performance.now();
    await fail(at, 1);
    assert.ok(performance.now() - started >= pause - EARLY, `${pause} ms`);
  }
});

test('no answer is held back for longer than maxDelay', async () => {
  const week = 7 * 86_400_000;
  const at = scene({ delay: week, maxDelay: 1, limit: 2_000 });
  await fail(at, 3);
  assert.equal(at.asked, 3);
});

test('a delay of nothing stays nothing, however often it is doubled', async () => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  const at = scene({ limit: 5_000 });
  // Node warns of a timer whose time is no number, in its later versions.
  await Promise.all(Array.from({ length: 1_100 }, () => at.guess()));
  await new Promise(setImmediate);
  process.off('warning', note);
  assert.deepEqual(warnings, []);
});

test('past the limit nobody is asked, and Retry-After says when the failures are forgotten', async () => {
  const at = scene();
  await fail(at, 3);
  assert.equal(await at.retryAfter(), '30', 'nobody is told to wait for longer');
  at.now += 59_001;
  assert.equal(await at.retryAfter({ password: RIGHT }), '1');
  assert.equal(at.asked, 3);
  at.now += 999;
  assert.equal(await at.guess({ password: RIGHT }), 'welcome');
});

test('a refusal does not make the waiting longer', async () => {
  const at = scene();
  await fail(at, 3);
  at.now += 30_000;
  for (let count = 0; count < 5; count += 1) assert.equal(await at.retryAfter(), '30');
});

test('failures are forgotten a window after the last one, all at once', async () => {
  const at = scene();
  await fail(at, 1);
  at.now += 59_999;
  await fail(at, 1);
  at.now += 59_999;
  await fail(at, 1);
  await at.retryAfter();
  at.now += 60_000;
  await fail(at, 3);
  await at.retryAfter();
});

test('whoever gets it right begins anew', async () => {
  const at = scene();
  for (let round = 0; round < 3; round += 1) {
    await fail(at, 2);
    assert.equal(await at.guess({ password: RIGHT }), 'welcome');
    // By another proof the same name would be welcome, and not be proven.
    at.right = `${RIGHT} ${round}`;
    assert.equal(await at.guess({ password: at.right }), 'welcome');
    at.right = RIGHT;
  }
});

test('another name, and another address, are not affected', async () => {
  const at = scene();
  await fail(at, 3);
  await at.retryAfter();
  await fail(at, 1, { actor: 'bob' });
  await fail(at, 1, { address: '192.0.2.2' });
  assert.equal(await at.guess({ actor: 'bob', password: RIGHT }), 'welcome');
  await at.retryAfter();
});

test('a name and an address are two things, wherever one ends', async () => {
  const at = scene({ limit: 1 });
  await fail(at, 1, { address: '192.0.2.1', actor: '2 alice' });
  await fail(at, 1, { address: '192.0.2.1 2', actor: 'alice' });
});

test('credentials that were right lately pass while others of the same name are refused', async () => {
  const at = scene();
  assert.equal(await at.guess({ password: RIGHT }), 'welcome');
  await fail(at, 3);
  await at.retryAfter();
  assert.equal(await at.guess({ password: RIGHT }), 'welcome');
  await at.retryAfter();
});

test('credentials that are used all the time stay known', async () => {
  const at = scene();
  await at.guess({ password: RIGHT });
  at.now += 40_000;
  await at.guess({ password: RIGHT });
  await fail(at, 3);
  at.now += 40_000;
  assert.equal(await at.retryAfter(), '20');
  assert.equal(await at.guess({ password: RIGHT }), 'welcome');
});

test('credentials that were right long ago are guesses like any other', async () => {
  const at = scene();
  await at.guess({ password: RIGHT });
  at.now += 60_001;
  await fail(at, 3);
  await at.retryAfter({ password: RIGHT });
});

test('credentials that are right no more are counted, and not known any more', async () => {
  const at = scene({ limit: 1 });
  await at.guess({ password: RIGHT });
  at.right = password('new');
  await fail(at, 1, { password: RIGHT });
  await at.retryAfter({ password: RIGHT });
});

test('what is thrown for another reason is no failure, and no proof', async () => {
  const at = scene({ limit: 1 });
  const outage = new RegistryError('UNAVAILABLE');
  const failedLogins = new FailedLogins({ delay: 0, maxDelay: 0, limit: 1, window: 1_000 }, () => 1);
  const login = { actor: 'alice', address: '192.0.2.1', proof: RIGHT, signal: ofARequest(), log: recorder(at.lines) };
  for (let count = 0; count < 5; count += 1) {
    await assert.rejects(
      attempt(failedLogins, login, () => Promise.reject(outage), isRefusal),
      (error) => error === outage,
    );
  }
  const wrongly = () => Promise.reject(refusal);
  await assert.rejects(attempt(failedLogins, login, wrongly, isRefusal), (error) => error === refusal);
  await assert.rejects(attempt(failedLogins, login, wrongly, isRefusal), { code: 'TOOMANYREQUESTS' });
  assert.equal(at.lines.filter(({ level }) => level === 'info').length, 1);
});

test('what is thrown at once, not later, is treated alike', async () => {
  const failedLogins = new FailedLogins({ delay: 0, maxDelay: 0, limit: 1, window: 1_000 }, () => 1);
  const login = { actor: 'alice', address: '192.0.2.1', proof: WRONG, signal: ofARequest(), log: recorder([]) };
  const wrongly = () => {
    throw refusal;
  };
  await assert.rejects(attempt(failedLogins, login, wrongly, isRefusal), (error) => error === refusal);
  await assert.rejects(attempt(failedLogins, login, wrongly, isRefusal), { code: 'TOOMANYREQUESTS' });
});

test('of many guesses at once no more than the limit allows are verified', async () => {
  const at = scene({ limit: 7 });
  const guesses = Array.from({ length: 100 }, (_, index) => at.guess({ password: `${WRONG} ${index}` }));
  const ends = await Promise.allSettled(guesses);
  assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, 7);
  assert.equal(at.asked, 7);
});

test('many logins at once with the right password all pass', async () => {
  const at = scene({ limit: 2 });
  const logins = Array.from({ length: 50 }, () => at.guess({ password: RIGHT }));
  assert.deepEqual([...new Set(await Promise.all(logins))], ['welcome']);
});

test('an answer that is held back keeps nobody else waiting', async () => {
  const at = scene({ delay: 3_600_000, maxDelay: 3_600_000, limit: 2 });
  const gone = new AbortController();
  const held = at.guess({ signal: gone.signal });
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  // One failure is counted, and one more would be one too many: the place is free again all the same.
  assert.equal(await at.guess({ password: RIGHT }), 'welcome');
  gone.abort(new Error('gone'));
  await assert.rejects(held, { message: 'gone' });
});

test('whoever goes away while it is held back has failed all the same', async () => {
  const at = scene({ delay: 3_600_000, maxDelay: 3_600_000, limit: 2 });
  for (let count = 0; count < 2; count += 1) {
    const gone = new AbortController();
    const held = at.guess({ signal: gone.signal });
    while (at.asked <= count) await new Promise(setImmediate);
    gone.abort(new Error('gone'));
    await assert.rejects(held, { message: 'gone' });
  }
  await at.retryAfter();
});

test('whoever goes away while it waits for its turn takes no turn', async () => {
  let end = () => {};
  const verifying = new Promise<void>((resolve) => {
    end = resolve;
  });
  const failedLogins = new FailedLogins({ delay: 0, maxDelay: 0, limit: 1, window: 1_000 }, () => 1);
  const login = { actor: 'alice', address: '192.0.2.1', proof: WRONG, signal: ofARequest(), log: recorder([]) };
  const first = attempt(failedLogins, login, () => verifying, isRefusal);
  const gone = new AbortController();
  const never = () => assert.fail('asked');
  const second = attempt(failedLogins, { ...login, signal: gone.signal }, never, isRefusal);
  gone.abort(new Error('gone'));
  await assert.rejects(second, { message: 'gone' });
  await assert.rejects(attempt(failedLogins, { ...login, signal: gone.signal }, never, isRefusal), { message: 'gone' });
  end();
  await first;
});

/** One of many, for an address fails only so often. */
function addressOf(index: number): string {
  return `10.0.${index >> 8}.${index & 255}`;
}

test('an address fails ten times as often as a name, whoever is meant', async () => {
  const at = scene({ limit: 3 });
  for (let name = 0; name < 15; name++) await fail(at, 2, { actor: `name-${name}` });
  await at.retryAfter({ actor: 'somebody else', password: RIGHT });
  await fail(at, 1, { actor: 'name-0', address: '192.0.2.2' });
  assert.equal(at.asked, 31);
});

test('of guesses at many names no more are verified at once than the limit allows', async () => {
  const failedLogins = new FailedLogins({ delay: 0, maxDelay: 0, limit: 2, window: 60_000 }, Date.now);
  let [trying, most] = [0, 0];
  const verify = async () => {
    most = Math.max(most, ++trying);
    await new Promise(setImmediate);
    trying -= 1;
    throw refusal;
  };
  const guess = (_: unknown, index: number) => {
    const login = { actor: `name-${index}`, address: '192.0.2.1', signal: ofARequest(), log: recorder([]) };
    return attempt(failedLogins, { ...login, proof: `${index}` }, verify, isRefusal).catch((error: unknown) => error);
  };
  await Promise.all(Array.from({ length: 15 }, guess));
  assert.equal(most, 2);
});

test('who is told that it may not has proved who it is, and a stranger with its session has not', async () => {
  const failedLogins = new FailedLogins({ delay: 0, maxDelay: 0, limit: 1, window: 60_000 }, Date.now);
  const login = { actor: 'alice', address: '192.0.2.1', signal: ofARequest(), log: recorder([]) };
  const denied = (name: string) => () => Promise.reject(new RegistryError('DENIED', undefined, { actor: { name } }));
  const wrongly = () => Promise.reject(refusal);
  await assert.rejects(attempt(failedLogins, { ...login, proof: 'right' }, denied('alice'), isRefusal), {
    code: 'DENIED',
  });
  await assert.rejects(attempt(failedLogins, { ...login, proof: 'guessed' }, denied('mallory'), isRefusal), {
    code: 'DENIED',
  });
  const session = () => ({ actor: { name: 'mallory' } });
  assert.deepEqual(await attempt(failedLogins, { ...login, proof: 'guessed' }, session, isRefusal), session());
  await assert.rejects(
    attempt(failedLogins, { ...login, proof: 'wrong' }, wrongly, isRefusal),
    (error) => error === refusal,
  );
  assert.equal(await attempt(failedLogins, { ...login, proof: 'right' }, () => 'welcome', isRefusal), 'welcome');
  await assert.rejects(
    attempt(failedLogins, { ...login, proof: 'guessed' }, () => 'welcome', isRefusal),
    {
      code: 'TOOMANYREQUESTS',
    },
  );
});

test('ten thousand names are remembered, and no more', async () => {
  const at = scene({ limit: 1 });
  const names = Array.from({ length: 10_001 }, (_, index) => `name-${index}`);
  await fail(at, 1, { actor: 'name-0' });
  await at.retryAfter({ actor: 'name-0' });
  await Promise.all(names.slice(1).map((actor, index) => at.guess({ actor, address: addressOf(index) })));
  assert.equal(await at.guess({ actor: 'name-0' }), 'wrong', 'the oldest is forgotten');
  await at.retryAfter({ actor: 'name-10000', address: addressOf(9_999) });
});

test('long names take no more memory than short ones', async () => {
  const at = scene({ limit: 1 });
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  for (let round = 0; round < 80; round += 1) {
    // Texts of their own, none of which is a part of another.
    const names = Array.from({ length: 100 }, (_, index) =>
      Buffer.alloc(12_000, `${round}.${index} `).toString('latin1'),
    );
    await Promise.all(names.map((actor, index) => at.guess({ actor, address: addressOf(round * 100 + index) })));
  }
  collectGarbage();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 64 << 20, `${grown} bytes`);
});

test('the log tells address and number, and nothing of what was sent', async () => {
  const at = scene({ limit: 2 });
  await fail(at, 2, { actor: 'canary in the name' });
  await at.retryAfter({ actor: 'canary in the name' });
  assert.deepEqual(at.lines, [
    { level: 'info', fields: { address: '192.0.2.1', failures: 1 }, message: 'login failed' },
    { level: 'info', fields: { address: '192.0.2.1', failures: 2 }, message: 'login failed' },
    {
      level: 'warn',
      fields: { address: '192.0.2.1', failures: 2, window: 60_000 },
      message: 'too many failed logins, refusing more',
    },
  ]);
  assert.ok(!JSON.stringify(at.lines).includes('canary'));
});

test('who claims to be nobody is not counted', async () => {
  const failedLogins = new FailedLogins({ delay: 0, maxDelay: 0, limit: 1, window: 60_000 }, Date.now);
  const wrongly = () => Promise.reject(refusal);
  const nobody = () => undefined;
  for (let count = 0; count < 3; count++) {
    await assert.rejects(
      async () => failedLogins.attempt('Basic ?', nobody, wrongly, isRefusal),
      (error) => error === refusal,
    );
  }
});

test.run();
