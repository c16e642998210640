// The suite of the wire in an application of Koa 2.
import assert from 'node:assert/strict';
import Koa3 from 'koa';
import Koa2 from 'koa2';
import { BARE } from '../support/registry.js';
import { runSuite } from './suite/index.js';

assert.notEqual(Koa2, Koa3);

runSuite({ ...BARE, name: 'koa 2', application: () => new Koa2() });
