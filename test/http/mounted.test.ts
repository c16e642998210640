// The suite of the wire below koa-mount, which shortens the path that the registry sees.
import mount from 'koa-mount';
import { runSuite } from './suite/index.js';

runSuite({
  name: 'koa-mount',
  base: '/team/registry',
  attach: (app, registry) => void app.use(mount('/team/registry', registry)),
});
