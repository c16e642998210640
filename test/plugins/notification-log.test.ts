// `notification/log`: a line for each event, at the level that was asked for.
import assert from 'node:assert/strict';
import type { RegistryEvent } from 'koa-registry';
import { log } from 'koa-registry/plugins/notification/log';
import { suite } from 'uvu';
import { recordingLogger, withHost } from '../http/host-service.js';
import { digestOf, pushImage } from '../support/content.js';
import { until } from '../support/redis.js';
import { eventOf } from '../unit/notifications-fixture.js';
import { withRegistry } from './notification-redis-fixture.js';
import { withPlugins } from './redis-fixture.js';

const MESSAGE = 'registry event';

/** The event that a line is about. */
function eventIn(line: Readonly<Record<string, unknown>> | undefined): RegistryEvent {
  return (line?.event ?? assert.fail('a line without an event')) as RegistryEvent;
}

const test = suite('notification/log');

test('what is pushed is in the log of the registry, a line each, in order', async () => {
  await withRegistry({ notifications: { sinks: [log()] } }, async (at) => {
    const digest = await pushImage(at, 'some/repository', 'latest');
    const told = () => at.log.filter(({ message }) => message === MESSAGE);
    await until(() => told().length === 3);
    for (const { level, fields } of told()) {
      assert.deepEqual([level, fields.plugin], ['info', 'notification/log']);
      assert.equal(eventIn(fields).target.repository, 'some/repository');
    }
    const { target } = eventIn(told()[2]?.fields);
    assert.deepEqual([target.tag, target.digest], ['latest', digest]);
  });
});

for (const level of ['debug', 'info', 'warn', 'error'] as const) {
  test(`at the level ${level}`, async () => {
    await withPlugins([log({ level })], async ({ instance: sink, log: lines }) => {
      const events = [eventOf('push'), eventOf('mount')];
      await sink.write(events, { signal: new AbortController().signal });
      assert.deepEqual(
        lines,
        events.map((event) => ({ level, fields: { event }, message: MESSAGE })),
      );
    });
  });
}

test('pino writes the whole event, and nothing of what is not known', async () => {
  const { logger, lines } = recordingLogger();
  await withHost({ options: { logger, notifications: { sinks: [log()] } } }, async ({ registry, url }) => {
    await registry.ready();
    const body = 'some bytes';
    const path = `${url}/v2/r/blobs/uploads/?digest=${digestOf(body)}`;
    const headers = { 'User-Agent': 'a client' };
    assert.equal((await fetch(path, { method: 'POST', body, headers })).status, 201);
    await until(() => lines.some(({ msg }) => msg === MESSAGE));
    const { action, target, request, actor } = eventIn(lines.find(({ msg }) => msg === MESSAGE));
    assert.deepEqual(
      { action, target, useragent: request.useragent, actor },
      {
        action: 'push',
        target: {
          mediaType: 'application/octet-stream',
          size: body.length,
          length: body.length,
          digest: digestOf(body),
          repository: 'r',
          url: `${url}/v2/r/blobs/${digestOf(body)}`,
        },
        useragent: 'a client',
        actor: {},
      },
    );
  });
});

test.run();
