// The published suite for queues over `queue/directory`, with files of the usual length and with short ones.
import { eventQueueSuite } from 'koa-registry/conformance';
import { directory } from 'koa-registry/plugins/queue/directory';
import { suite } from 'uvu';
import { tempFolder } from '../support/temp-folder.js';

const path = tempFolder();
const usual = suite('queue/directory: conformance');
eventQueueSuite(usual, () => directory({ path }));
usual.run();

const short = suite('queue/directory: conformance, in many short files');
eventQueueSuite(short, () => directory({ path, segmentBytes: '4KiB', fsync: false }));
short.run();
