// nginx as the tests start it: what it is told to serve, it serves, out of a temporary folder.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { startNginx } from '../support/nginx.js';
import { suiteNeeding } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';

const test = suiteNeeding('support: nginx', ['nginx']);

test('serves a file, proxies to itself, and stops', async () => {
  const folder = tempFolder();
  await writeFile(join(folder, 'blob'), 'content');
  const nginx = await startNginx(
    (port) => `server {
      listen 127.0.0.1:${port};
      root ${folder};
      location /proxied/ { proxy_pass http://127.0.0.1:${port}/; }
    }`,
  );
  try {
    for (const path of ['blob', 'proxied/blob']) {
      const answer = await fetch(`${nginx.url}/${path}`);
      assert.is(await answer.text(), 'content');
    }
  } finally {
    await nginx.stop();
  }
  await fetch(nginx.url).then(
    () => assert.unreachable('it still answers'),
    () => {},
  );
});

test('shows what nginx has against a configuration', async () => {
  await startNginx(() => 'server { cheese; }').then(
    (nginx) => nginx.stop().then(() => assert.unreachable('it took the configuration')),
    (error: Error) => assert.match(error.message, 'unknown directive "cheese"'),
  );
});

test.run();
