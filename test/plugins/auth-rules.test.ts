// `auth/rules`: whom a rule is for, what it allows where, and what becomes of those whom the handler
// does not know.
import assert from 'node:assert/strict';
import {
  type AccessRequest,
  type AuthHandler,
  basicChallenge,
  bearerChallenge,
  definePlugin,
  grantIf,
  OptionsError,
  type Plugin,
  parseCredentials,
  RegistryError,
} from 'koa-registry';
import { rules } from 'koa-registry/plugins/auth/rules';
import { z } from 'zod';
import { answered, empty, json, refused } from '../http/suite/answers.js';
import { wireSuite } from '../http/suite/index.js';
import { index, NOWHERE, pushBlob, pushManifest } from '../support/content.js';
import { basic, bearer, password } from '../support/credentials.js';
import type { Answer } from '../support/http-client.js';
import { BARE, type OpenRegistry } from '../support/registry.js';

type RuleOptions = Parameters<typeof rules>[0]['rules'];

const given = definePlugin({
  kind: 'auth',
  name: 'given',
  options: z.strictObject({ handler: z.custom<AuthHandler>() }),
  create: ({ handler }): AuthHandler => handler,
});

const deciding = (authorize: AuthHandler['authorize']) => given({ handler: { authorize } });

/** Knows everybody who has a name's password, and what teams they are in; lets them do everything. */
const people = deciding((request) => {
  const sent = parseCredentials(request.ctx.headers.authorization);
  if (sent?.scheme !== 'basic' || sent.password !== password(sent.user)) throw basicChallenge('people');
  const groups = sent.user === 'erin' ? ['staff'] : undefined;
  return grantIf(request, { name: sent.user, groups }, () => true);
});

const as = (user: string) => ({ headers: basic(user, password(user)) });

/** What each action is answered where it is allowed; nothing is stored. */
const REQUESTS = {
  pull: ['GET', (name: string) => `/v2/${name}/tags/list`, 404],
  push: ['POST', (name: string) => `/v2/${name}/blobs/uploads/`, 202],
  delete: ['DELETE', (name: string) => `/v2/${name}/manifests/${NOWHERE}`, 404],
  catalog: ['GET', () => '/v2/_catalog', 200],
} as const;

type Action = keyof typeof REQUESTS;

const ACTIONS: readonly Action[] = ['pull', 'push', 'delete', 'catalog'];

/** Which actions on a repository a caller is allowed; whoever is not gets `refusal`. */
async function allowedActions(at: OpenRegistry, name: string, user?: string): Promise<string> {
  const refusal = user === undefined ? 401 : 403;
  const allowed: Action[] = [];
  for (const action of ACTIONS) {
    const [method, path, done] = REQUESTS[action];
    const { status } = await at.send(method, path(name), user === undefined ? {} : as(user));
    if (status === done) allowed.push(action);
    else assert.equal(status, refusal, `${action} ${name} by ${user}`);
  }
  return allowed.join(' ');
}

const challengeOf = (answer: Answer) => answer.headers['www-authenticate'];

wireSuite('auth/rules: who, what and where', BARE, (test, open) => {
  const withRules = (list: RuleOptions, groups: Record<string, string[]> = {}) =>
    open({ auth: rules({ handler: people, rules: list, groups }) });

  test('anonymous pull and authenticated push', async () => {
    const at = await withRules([
      { anonymous: true, actions: ['pull'] },
      { authenticated: true, actions: ['push'] },
    ]);
    assert.equal(await allowedActions(at, 'a/b'), 'pull');
    assert.equal(await allowedActions(at, 'a/b', 'alice'), 'pull push');
  });

  test('a rule for one is not for another', async () => {
    const at = await withRules(
      [
        { users: ['alice'], actions: ['*'] },
        { groups: ['ops'], actions: ['pull', 'delete'] },
        { groups: ['ops'], catalog: true },
        { groups: ['staff'], actions: ['pull'] },
        { users: ['dave'], groups: ['nobody'], actions: ['pull', 'push'] },
      ],
      { ops: ['bob', 'erin', 'constructor'] },
    );
    assert.equal(await allowedActions(at, 'a'), '');
    assert.equal(await allowedActions(at, 'a', 'alice'), 'pull push delete');
    assert.equal(await allowedActions(at, 'a', 'bob'), 'pull delete catalog');
    assert.equal(await allowedActions(at, 'a', 'dave'), 'pull push');
    assert.equal(await allowedActions(at, 'a', 'constructor'), 'pull delete catalog');
    for (const stranger of ['carol', 'ALICE', 'ops', 'toString', '__proto__']) {
      assert.equal(await allowedActions(at, 'a', stranger), '', stranger);
    }
  });

  test('groups of the option are added to those of the handler', async () => {
    const at = await withRules(
      [
        { groups: ['staff'], actions: ['pull'] },
        { groups: ['ops'], actions: ['delete'] },
      ],
      { ops: ['erin'], staff: ['bob'] },
    );
    assert.equal(await allowedActions(at, 'a', 'erin'), 'pull delete');
    assert.equal(await allowedActions(at, 'a', 'bob'), 'pull');
  });

  test('the catalogue alone is no repository, and all repositories are no catalogue', async () => {
    const at = await withRules([
      { users: ['lister'], catalog: true },
      { users: ['alice'], actions: ['*'], repositories: ['**'] },
    ]);
    assert.equal(await allowedActions(at, 'catalog', 'lister'), 'catalog');
    assert.equal(await allowedActions(at, 'catalog', 'alice'), 'pull push delete');
  });

  test('what is pushed must be pulled too', async () => {
    const at = await withRules([{ authenticated: true, actions: ['push'] }]);
    const [entry] = refused(await at.send('POST', '/v2/a/blobs/uploads/', as('alice')), 403, 'DENIED');
    assert.deepEqual(entry?.detail, { missing: [{ type: 'repository', name: 'a', action: 'pull' }] });
  });

  test('rules add up, each on its own repositories', async () => {
    const at = await withRules([
      { authenticated: true, actions: ['pull'], repositories: ['public/**', 'library/*'] },
      { users: ['alice'], actions: ['pull', 'push'], repositories: ['team/**'] },
      { users: ['alice'], actions: ['delete'], repositories: ['team/old/*'] },
    ]);
    assert.equal(await allowedActions(at, 'public/a/b', 'alice'), 'pull');
    assert.equal(await allowedActions(at, 'library/a', 'bob'), 'pull');
    assert.equal(await allowedActions(at, 'library/a/b', 'bob'), '');
    assert.equal(await allowedActions(at, 'team/new', 'alice'), 'pull push');
    assert.equal(await allowedActions(at, 'team/old/x', 'alice'), 'pull push delete');
    assert.equal(await allowedActions(at, 'team/new', 'bob'), '');
  });
});

/** Of these names, those that a glob matches. */
const NAMES = ['a', 'a.b', 'a-b', 'a__b', 'team', 'teams', 'team/a', 'team/a.b', 'team/a/b', 'team/team', 'x/team/a'];

const GLOBS: readonly (readonly [glob: string, matches: string])[] = [
  ['**', NAMES.join(' ')],
  ['*', 'a a.b a-b a__b team teams'],
  ['team', 'team'],
  ['team/*', 'team/a team/a.b team/team'],
  // All below, not itself.
  ['team/**', 'team/a team/a.b team/a/b team/team'],
  ['**/team', 'team team/team'],
  ['**/a', 'a team/a x/team/a'],
  ['team/**/b', 'team/a/b'],
  ['**/team/**', 'team/a team/a.b team/a/b team/team x/team/a'],
  ['*/*', 'team/a team/a.b team/team'],
  ['**/*', NAMES.join(' ')],
  ['**/**', NAMES.join(' ')],
  ['team*', 'team teams'],
  ['*team', 'team'],
  ['t?am', 'team'],
  ['a?b', 'a.b a-b'],
  ['a??b', 'a__b'],
  ['a*b', 'a.b a-b a__b'],
  // A dot is a dot.
  ['a.b', 'a.b'],
  ['team/a.*', 'team/a.b'],
];

const BAD_GLOBS = [
  ['negation', '!team/**', 'team/!a'],
  ['extglobs', '@(a|b)', '+(a)', '!(a)', 'team/?(a)', '(a|b)'],
  ['braces', '{a,b}', 'a{1..3}', 'a{b'],
  ['brackets', '[ab]', 'a[', '[[:alpha:]]'],
  ['stars within a component that look like more', 'team**', '**team', 'te**am/a', '***', 'team/***'],
  ['more than three stars', '*/*/*/*', 'a*b*c*d*', '**/a/**/b/**/*'],
  [
    'what no name has',
    'Team/*',
    'tea m',
    'tëam',
    'team\\/a',
    'a:b',
    'a@b',
    '_a',
    'a/-b',
    '.',
    '..',
    './a',
    '.a',
    'a\n',
  ],
  ['slashes at an end, and two of them', '/team', 'team/', 'team//a', '/', ''],
] as const;

/** The paths and messages of what is wrong with the options of a registry. */
async function problemsOf(open: (auth: Plugin<'auth'>) => Promise<unknown>, auth: Plugin<'auth'>): Promise<string[]> {
  const error: unknown = await open(auth).catch((thrown: unknown) => thrown);
  if (error instanceof OptionsError) return error.problems.map(({ path, message }) => `${path}: ${message}`);
  return assert.fail('nothing is wrong');
}

wireSuite('auth/rules: options', BARE, (test, open) => {
  const problems = (options: unknown) => problemsOf((auth) => open({ auth }), rules(options as never));
  const withRule = (rule: unknown) => problems({ handler: people, rules: [rule] });

  test('globs match as the documentation says', async () => {
    for (const [glob, matches] of GLOBS) {
      const list: RuleOptions = [{ anonymous: true, actions: ['pull'], repositories: [glob] }];
      const at = await open({ auth: rules({ handler: people, rules: list }) });
      const found: string[] = [];
      for (const name of NAMES) if ((await at.send('GET', `/v2/${name}/tags/list`)).status === 404) found.push(name);
      assert.equal(found.join(' '), matches, glob);
    }
  });

  test('globs of which nobody knows what they match are refused', async () => {
    for (const [kind, ...globs] of BAD_GLOBS) {
      for (const glob of globs) {
        const found = await withRule({ anonymous: true, actions: ['pull'], repositories: ['a', glob] });
        assert.ok(found.length > 0, `${kind}: ${glob}`);
        for (const problem of found) assert.match(problem, /^auth\.rules\.rules\[0\]\.repositories\[1\]: must/, glob);
      }
    }
  });

  test('a rule is for somebody, and allows something', async () => {
    const [nobody] = await withRule({ actions: ['pull'] });
    assert.match(nobody ?? '', /^auth\.rules\.rules\[0\]: is for nobody/);
    const [empty] = await withRule({ anonymous: false, users: [], groups: [], actions: ['pull'] });
    assert.match(empty ?? '', /is for nobody/);
    const [nothing] = await withRule({ anonymous: true });
    assert.match(nothing ?? '', /^auth\.rules\.rules\[0\]: allows nothing/);
    assert.match((await withRule({ anonymous: true, actions: [] }))[0] ?? '', /allows nothing/);
    const [without] = await withRule({ anonymous: true, catalog: true, repositories: ['a'] });
    assert.match(without ?? '', /names repositories, and no actions/);
  });

  test('what cannot be meant is refused, with its place', async () => {
    const paths = async (options: unknown) => (await problems(options)).map((problem) => problem.split(': ')[0]);
    const rule = { anonymous: true, actions: ['pull'] };
    assert.deepEqual(await paths({}), ['auth.rules.handler', 'auth.rules.rules']);
    assert.deepEqual(await paths({ handler: people, rules: [] }), ['auth.rules.rules']);
    assert.deepEqual(await paths({ handler: people, rules: [{ ...rule, actions: ['read'] }] }), [
      'auth.rules.rules[0].actions[0]',
    ]);
    assert.deepEqual(await paths({ handler: people, rules: [rule, { ...rule, repositories: [] }] }), [
      'auth.rules.rules[1].repositories',
    ]);
    assert.deepEqual(await problems({ handler: people, rules: [{ ...rule, repository: ['a'] }] }), [
      'auth.rules.rules[0].repository: unknown option, did you mean "repositories"?',
    ]);
    assert.deepEqual(await paths({ handler: people, rules: [rule], groups: { ops: 'bob' } }), [
      'auth.rules.groups.ops',
    ]);
    const inner = rules({ handler: people, rules: [] });
    assert.deepEqual(await paths({ handler: inner, rules: [rule] }), ['auth.rules.handler.rules.rules']);
  });
});

wireSuite('auth/rules: over a handler', BARE, (test, open) => {
  const PUBLIC: RuleOptions = [
    { anonymous: true, actions: ['pull'], repositories: ['public/**'] },
    { users: ['alice'], actions: ['*'] },
    { users: ['alice'], catalog: true },
  ];

  test('who says nothing is asked on GET /v2/, and where it may not', async () => {
    const at = await open({ auth: rules({ handler: people, rules: PUBLIC }) });
    for (const headers of [{}, basic('', '')]) {
      for (const path of ['/v2/', '/v2/private/tags/list', '/v2/_catalog']) {
        const answer = await at.send('GET', path, { headers });
        refused(answer, 401, 'UNAUTHORIZED');
        assert.equal(challengeOf(answer), 'Basic realm="people"');
      }
      refused(await at.send('GET', '/v2/public/a/tags/list', { headers }), 404, 'NAME_UNKNOWN');
    }
    answered(await at.send('GET', '/v2/', as('bob')), 200);
  });

  test('wrong credentials are never those of nobody', async () => {
    const at = await open({ auth: rules({ handler: people, rules: PUBLIC }), failedLogins: { enabled: false } });
    const wrong = [
      basic('alice', password('bob')),
      basic('', password('alice')),
      basic('alice', ''),
      bearer(password('token')),
      ...['Basic', 'Basic ?', 'Negotiate abc', 'gibberish'].map((Authorization) => ({ Authorization })),
    ];
    for (const headers of wrong) {
      const answer = await at.send('GET', '/v2/public/a/tags/list', { headers });
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(challengeOf(answer), 'Basic realm="people"');
    }
  });

  test('who is known and may not is told so, with its name in the log only', async () => {
    const at = await open({ auth: rules({ handler: people, rules: PUBLIC }) });
    const answer = await at.send('GET', '/v2/private/tags/list', as('bob'));
    refused(answer, 403, 'DENIED');
    assert.ok(!answer.body.includes('bob'));
    assert.deepEqual(
      at.log.filter(({ fields }) => fields.code === 'DENIED').map(({ fields }) => fields.actor),
      ['bob'],
    );
  });

  test('the handler is asked once, for everything, and what it refuses stays refused', async () => {
    const all: RuleOptions = [{ anonymous: true, actions: ['*'] }];
    const token = { realm: 'r', service: 's', scopes: [] };
    const refusals = [
      [new RegistryError('DENIED'), 403, 'DENIED'],
      [new RegistryError('UNAVAILABLE'), 503, 'UNAVAILABLE'],
      [new Error('broken'), 500, 'UNKNOWN'],
      // Somebody was recognised, though not by `Authorization`.
      [bearerChallenge(token, { error: 'insufficient_scope' }), 401, 'UNAUTHORIZED'],
      [bearerChallenge(token, { error: 'invalid_token' }), 401, 'UNAUTHORIZED'],
    ] as const;
    for (const [error, status, code] of refusals) {
      const asked: AccessRequest[] = [];
      const handler = deciding((request) => {
        asked.push(request);
        throw error;
      });
      const at = await open({ auth: rules({ handler, rules: all }) });
      refused(await at.send('POST', `/v2/a/blobs/uploads/?mount=${NOWHERE}&from=b`), status, code);
      const actions = asked.map(({ required, optional }) => [...required, ...optional].map(({ action }) => action));
      assert.deepEqual(actions, [['pull', 'push', 'pull']]);
    }
  });

  test('a handler that answers no grant does not open the door', async () => {
    for (const answer of [undefined, null, true, {}, { actor: { name: 'alice' } }]) {
      const handler = deciding(() => answer as never);
      const at = await open({ auth: rules({ handler, rules: [{ anonymous: true, actions: ['*'] }] }) });
      refused(await at.send('GET', '/v2/a/tags/list'), 500, 'UNKNOWN');
    }
  });

  test('a handler that lets in somebody without a name is narrowed too, and challenges', async () => {
    const inner = rules({ handler: people, rules: [{ anonymous: true, actions: ['pull', 'push'] }] });
    const at = await open({ auth: rules({ handler: inner, rules: [{ anonymous: true, actions: ['pull'] }] }) });
    assert.equal(await allowedActions(at, 'a'), 'pull');
    const answer = await at.send('POST', '/v2/a/blobs/uploads/');
    refused(answer, 401, 'UNAUTHORIZED');
    assert.equal(challengeOf(answer), 'Basic realm="people"');
  });

  test('rules over rules allow what both do, and see the groups of the inner ones', async () => {
    const inner = rules({
      handler: people,
      rules: [{ groups: ['ops'], actions: ['pull', 'push'], repositories: ['team/**'] }],
      groups: { ops: ['bob'] },
    });
    const at = await open({
      auth: rules({ handler: inner, rules: [{ groups: ['ops'], actions: ['pull', 'delete'] }] }),
    });
    assert.equal(await allowedActions(at, 'team/a', 'bob'), 'pull');
    assert.equal(await allowedActions(at, 'other', 'bob'), '');
  });

  test('a mount needs a source that both the rules and the handler allow', async () => {
    const bare = await open();
    const digest = await pushBlob(bare, 'source', 'shared');
    const target: RuleOptions = [{ anonymous: true, actions: ['pull', 'push'], repositories: ['target/*'] }];
    const both: RuleOptions = [...target, { anonymous: true, actions: ['pull'], repositories: ['source'] }];
    const handlers = {
      all: deciding(({ optional }) => ({ actor: { name: 'alice' }, granted: optional })),
      none: deciding(() => ({ actor: { name: 'alice' }, granted: [], allows: () => false })),
      nobody: deciding(() => {
        throw basicChallenge('people');
      }),
    };
    const cases = [
      [handlers.all, target, 202],
      [handlers.none, both, 202],
      [handlers.all, both, 201],
      [handlers.nobody, target, 202],
      [handlers.nobody, both, 201],
    ] as const;
    for (const [number, [handler, list, status]] of cases.entries()) {
      const at = await open({ auth: rules({ handler, rules: list }), driver: bare.storage });
      empty(await at.send('POST', `/v2/target/${number}/blobs/uploads/?mount=${digest}&from=source`), status);
    }
  });

  test('a mount from wherever the blob is needs the handler to say that one may pull there', async () => {
    const bare = await open();
    const digest = await pushBlob(bare, 'source', 'secret');
    const list: RuleOptions = [{ anonymous: true, actions: ['pull', 'push'] }];
    const token = { actor: { name: 'alice' }, granted: [] };
    const says = [
      [token, 202],
      [{ ...token, allows: () => false }, 202],
      [{ ...token, allows: async () => true }, 201],
    ] as const;
    for (const [number, [grant, status]] of says.entries()) {
      const at = await open({ auth: rules({ handler: deciding(() => grant), rules: list }), driver: bare.storage });
      // The registry has seen the blob there.
      answered(await at.send('GET', `/v2/source/blobs/${digest}`), 200);
      empty(await at.send('POST', `/v2/target/${number}/blobs/uploads/?mount=${digest}`), status);
    }
  });

  test('the catalogue shows what both the rules and the handler let one pull', async () => {
    const bare = await open();
    for (const name of ['private', 'public/a', 'public/b']) await pushManifest(bare, name, index([]));
    const list: RuleOptions = [
      { anonymous: true, catalog: true },
      { anonymous: true, actions: ['pull'], repositories: ['public/*'] },
      { users: ['alice'], actions: ['pull'] },
    ];
    const seen = async (handler: Plugin<'auth'>, options = {}) => {
      const at = await open({ auth: rules({ handler, rules: list }), driver: bare.storage });
      return json<{ repositories: string[] }>(await at.send('GET', '/v2/_catalog', options)).repositories.join(' ');
    };
    assert.equal(await seen(people), 'public/a public/b');
    assert.equal(await seen(people, as('bob')), 'public/a public/b');
    assert.equal(await seen(people, as('alice')), 'private public/a public/b');
    const partial = deciding(() => ({
      actor: { name: 'alice' },
      granted: [],
      allows: async ({ name }) => name === 'private' || name === 'public/b',
    }));
    assert.equal(await seen(partial), 'private public/b');
    assert.equal(await seen(deciding(() => ({ granted: [] }))), 'public/a public/b');
  });

  test('health is that of the handler, which is closed too', async () => {
    let well = true;
    let closed = 0;
    const check = async () => {
      if (!well) throw new RegistryError('UNAVAILABLE');
    };
    const close = async () => void closed++;
    const handler = given({ handler: { authorize: () => ({ granted: [] }), check, close } });
    const at = await open({ auth: rules({ handler, rules: PUBLIC }) });
    await at.registry.ready();
    assert.deepEqual((await at.registry.health()).checks.auth, 'ok');
    well = false;
    assert.equal((await at.registry.health()).ok, false);
    await at.registry.close();
    assert.equal(closed, 1);
  });

  test('a handler that cannot tell how it is makes nobody ill', async () => {
    const at = await open({ auth: rules({ handler: people, rules: PUBLIC }) });
    await at.registry.ready();
    const { ok, checks } = await at.registry.health();
    assert.ok(ok);
    assert.equal(checks.auth, undefined);
  });
});
