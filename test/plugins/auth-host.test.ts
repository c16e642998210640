// `auth/host`: the application's own session and its personal tokens, what may be answered, and other
// sites' pages.
import assert from 'node:assert/strict';
import Koa from 'koa';
import {
  type AccessRequest,
  type Actor,
  basicChallenge,
  Challenge,
  grantIf,
  OptionsError,
  parseCredentials,
  RegistryError,
} from 'koa-registry';
import { type HostAuthorize, host } from 'koa-registry/plugins/auth/host';
import { answered, empty, refused } from '../http/suite/answers.js';
import { wireSuite } from '../http/suite/index.js';
import { basic, bearer, password } from '../support/credentials.js';
import { BARE, type Mount } from '../support/registry.js';

/** An application that knows its user by a cookie, before the registry is asked. */
const WITH_SESSION: Mount = {
  ...BARE,
  application: () => {
    const app = new Koa();
    app.use((ctx, next) => {
      ctx.state.user = ctx.cookies.get('user');
      return next();
    });
    return app;
  },
};

function owner(header: string | undefined): string | undefined {
  const sent = parseCredentials(header);
  if (sent?.scheme === 'basic' && sent.password === password(sent.user)) return sent.user;
  return sent?.scheme === 'bearer' && sent.token === password('carol') ? 'carol' : undefined;
}

/** The session's user, or a personal token's, who may do everything in repositories of that name. */
const bySession: HostAuthorize = (ctx, access) => {
  const { authorization } = ctx.headers;
  const user: string | undefined = authorization === undefined ? ctx.state.user : owner(authorization);
  return user === undefined ? null : grantIf(access, { name: user }, ({ name }) => name === user);
};

const nobody: HostAuthorize = () => null;

const COOKIE = { Cookie: 'user=alice' };

wireSuite('auth/host', WITH_SESSION, (test, open) => {
  test('a session, a password and a token are all the application’s to judge', async () => {
    const auth = host({ realm: 'Portal', authorize: bySession });
    const at = await open({ auth });
    const callers = [
      ['alice', COOKIE],
      ['bob', basic('bob', password('bob'))],
      ['carol', bearer(password('carol'))],
    ] as const;
    for (const [user, headers] of callers) {
      answered(await at.send('GET', '/v2/', { headers }), 200);
      empty(await at.send('POST', `/v2/${user}/blobs/uploads/`, { headers }), 202);
      refused(await at.send('POST', '/v2/other/blobs/uploads/', { headers }), 403, 'DENIED');
    }
    const denied = at.log.filter(({ fields }) => fields.code === 'DENIED').map(({ fields }) => fields.actor);
    assert.deepEqual(denied, ['alice', 'bob', 'carol']);
  });

  test('nobody, and wrong credentials, are asked to log in', async () => {
    const at = await open({ auth: host({ realm: 'The "Portal"', authorize: bySession }) });
    for (const headers of [{}, basic('bob', password('wrong')), { ...COOKIE, ...bearer(password('wrong')) }]) {
      const answer = await at.send('GET', '/v2/', { headers });
      refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(answer.headers['www-authenticate'], 'Basic realm="The \\"Portal\\""');
    }
  });

  test('the function sees the context and the request', async () => {
    const seen: [unknown, AccessRequest][] = [];
    const authorize: HostAuthorize = (ctx, access) => {
      seen.push([ctx, access]);
      return { granted: [] };
    };
    const at = await open({ auth: host({ realm: 'Portal', authorize }) });
    await at.send('GET', '/v2/a/tags/list', { headers: COOKIE });
    const [[ctx, access] = assert.fail('not asked')] = seen;
    assert.equal(seen.length, 1);
    assert.equal(ctx, access.ctx);
    assert.equal(access.ctx.state.user, 'alice');
    assert.deepEqual(access.required, [{ type: 'repository', name: 'a', action: 'pull' }]);
  });

  test('a challenge of its own may be answered or thrown', async () => {
    const own = () => new Challenge(['Bearer realm="own"'], { problem: 'expired' });
    const ways: HostAuthorize[] = [
      () => own(),
      async () => own(),
      () => {
        throw own();
      },
      () => Promise.reject(own()),
    ];
    for (const authorize of ways) {
      const at = await open({ auth: host({ realm: 'Portal', authorize }) });
      const answer = await at.send('GET', '/v2/');
      const [entry] = refused(answer, 401, 'UNAUTHORIZED');
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="own"');
      assert.deepEqual(entry?.detail, { problem: 'expired' });
    }
  });

  test('whatever RegistryError it throws is the answer', async () => {
    for (const [code, status] of [['DENIED', 403] as const, ['UNAVAILABLE', 503] as const]) {
      const authorize = () => Promise.reject(new RegistryError(code));
      const at = await open({ auth: host({ realm: 'Portal', authorize }) });
      refused(await at.send('GET', '/v2/'), status, code);
    }
  });

  test('a forgotten return does not open the door', async () => {
    for (const forgotten of [undefined, true, false, 'alice', {}, { actor: { name: 'alice' } satisfies Actor }]) {
      const at = await open({ auth: host({ realm: 'Portal', authorize: () => forgotten as never }) });
      refused(await at.send('GET', '/v2/', { headers: COOKIE }), 500, 'UNKNOWN');
    }
  });

  test('a failing function is 500, and the application hears why', async () => {
    const failure = new Error('the session store is broken');
    const at = await open({ auth: host({ realm: 'Portal', authorize: () => Promise.reject(failure) }) });
    const answer = await at.send('GET', '/v2/');
    refused(answer, 500, 'UNKNOWN');
    assert.ok(!answer.body.includes('session store'));
    assert.deepEqual(at.errors, [failure]);
  });
});

/** What a browser says of the page that sends a request, and whether that page is another site's. */
const PAGES: readonly (readonly [headers: (host: string) => Record<string, string>, crossSite: boolean])[] = [
  [() => ({}), false],
  [() => ({ 'Sec-Fetch-Site': 'same-origin' }), false],
  [() => ({ 'Sec-Fetch-Site': 'none' }), false],
  [() => ({ 'Sec-Fetch-Site': 'same-site' }), true],
  [() => ({ 'Sec-Fetch-Site': 'cross-site' }), true],
  [() => ({ 'Sec-Fetch-Site': 'none, cross-site' }), true],
  [() => ({ 'Sec-Fetch-Site': '' }), true],
  [(name) => ({ Origin: `http://${name}` }), false],
  [() => ({ Origin: 'http://evil.example' }), true],
  [() => ({ Origin: 'null' }), true],
  [(name) => ({ 'Sec-Fetch-Site': 'cross-site', Origin: `http://${name}` }), true],
  // Behind a proxy that hides the host's name only the browser knows.
  [() => ({ 'Sec-Fetch-Site': 'same-origin', Origin: 'https://portal.example' }), false],
];

const CHANGES = ['POST /v2/alice/blobs/uploads/', 'PUT /v2/alice/manifests/v1', 'DELETE /v2/alice/manifests/v1'];

wireSuite('auth/host: pages of other sites', WITH_SESSION, (test, open) => {
  test('may not change anything with a session, nor with a password that the browser remembers', async () => {
    const asked: string[] = [];
    const authorize: HostAuthorize = (ctx, access) => {
      asked.push(ctx.method);
      return bySession(ctx, access);
    };
    const at = await open({ auth: host({ realm: 'Portal', authorize }) });
    for (const [page, crossSite] of PAGES) {
      for (const login of [COOKIE, basic('alice', password('alice'))]) {
        const headers = { ...login, ...page(`127.0.0.1:${at.port}`) };
        for (const change of CHANGES) {
          const [method = '', path = ''] = change.split(' ');
          const { status } = await at.send(method, path, { headers });
          const what = `${change} ${JSON.stringify(headers)}`;
          if (crossSite) assert.equal(status, 403, what);
          else assert.notEqual(status, 403, what);
          assert.equal(asked.splice(0).length, crossSite ? 0 : 1, what);
        }
      }
    }
  });

  test('may look where a browser lets them, and use a token that they have', async () => {
    const at = await open({ auth: host({ realm: 'Portal', authorize: bySession }) });
    const evil = { 'Sec-Fetch-Site': 'cross-site', Origin: 'http://evil.example' };
    for (const method of ['GET', 'HEAD']) {
      answered(await at.send(method, '/v2/', { headers: { ...COOKIE, ...evil } }), 200);
    }
    const headers = { ...bearer(password('carol')), ...evil };
    empty(await at.send('POST', '/v2/carol/blobs/uploads/', { headers }), 202);
  });

  test('may, where the application says so', async () => {
    const at = await open({ auth: host({ realm: 'Portal', authorize: bySession, crossSite: true }) });
    const headers = { ...COOKIE, 'Sec-Fetch-Site': 'cross-site', Origin: 'http://evil.example' };
    empty(await at.send('POST', '/v2/alice/blobs/uploads/', { headers }), 202);
  });
});

wireSuite('auth/host: options', BARE, (test, open) => {
  test('a realm for a header and a function are needed', async () => {
    const problems = async (options: unknown) => {
      const error: unknown = await open({ auth: host(options as never) }).catch((thrown: unknown) => thrown);
      return error instanceof OptionsError ? error.problems.map(({ path }) => path).sort() : error;
    };
    assert.deepEqual(await problems({}), ['auth.host.authorize', 'auth.host.realm']);
    assert.deepEqual(await problems({ realm: 'ü', authorize: 'yes' }), ['auth.host.authorize', 'auth.host.realm']);
    assert.deepEqual(await problems({ realm: 'a', authorize: nobody, crosSite: true }), ['auth.host.crosSite']);
  });

  test('what the function must be, the compiler knows', () => {
    host({ realm: 'a', authorize: async () => null });
    host({ realm: 'a', authorize: () => basicChallenge('b') });
    host({ realm: 'a', authorize: (ctx, { required }) => (ctx.path === '' ? null : { granted: required }) });
    // @ts-expect-error  a forgotten return
    host({ realm: 'a', authorize: () => {} });
    // @ts-expect-error  a boolean is no grant
    host({ realm: 'a', authorize: async () => true });
    // @ts-expect-error  the realm is missing
    host({ authorize: nobody });
  });
});
