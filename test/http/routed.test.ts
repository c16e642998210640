// The suite of the wire inside an enclosing @koa/router: behind a parameter, behind the router's own
// prefix, and with the registry's.

import assert from 'node:assert/strict';
import Router from '@koa/router';
import type Koa from 'koa';
import type { Registry } from 'koa-registry';
import { answered } from './suite/answers.js';
import { runSuite, type Suite, wireSuite } from './suite/index.js';

/** Attaches a registry below a pattern, and its root, where the metadata stand. */
function routed(router: Router, pattern: string) {
  return (app: Koa, registry: Registry): void => {
    router.all(`${pattern}/v2{/*path}`, registry);
    router.all(`${pattern}/`, registry);
    app.use(router.routes());
  };
}

runSuite({
  name: 'router with a parameter',
  base: '/acme',
  attach: (app, registry) => routed(new Router(), '/:tenant')(app, registry),
});

runSuite({
  name: 'router with a prefix',
  base: '/api/images',
  attach: (app, registry) => routed(new Router({ prefix: '/api' }), '/images')(app, registry),
});

runSuite({
  name: 'router and the option prefix',
  base: '/portal',
  options: { prefix: '/portal' },
  attach: (app, registry) => routed(new Router(), '/portal')(app, registry),
});

const patternsSuite: Suite = (test, open, { name, base }) => {
  test(`a registry behind ${name} knows where it stands`, async () => {
    const at = await open({ metadata: { enabled: true } });
    const { headers } = answered(await at.send('POST', '/v2/r/blobs/uploads/'), 202);
    answered(await at.send('GET', at.within(headers.location)), 204);
    const { body } = answered(await at.send('GET', '/'), 200);
    assert.equal(JSON.parse(body.toString()).endpoints.v2.root, `${at.origin}${base}/v2/`);
  });
};

for (const [pattern, base] of Object.entries({
  '/:tenant{/*path}': '/acme',
  '/:tenant/*path': '/acme',
  '/{*path}': '',
  '/a/:b/c{/*path}': '/a/x/c',
})) {
  const attach = (app: Koa, registry: Registry) => {
    const router = new Router().all(pattern, registry);
    // `/*path` does not match the mere slash.
    app.use(router.all(pattern.replace('*path', ''), registry).routes());
  };
  wireSuite(`router with ${pattern}`, { name: pattern, base, attach }, patternsSuite);
}
