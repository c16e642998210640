// The suite of the wire: a registry on its own in an application, in memory.
import { BARE } from '../support/registry.js';
import { runSuite } from './suite/index.js';

runSuite(BARE);
