// Sinks that take nothing, and events without end: what waits stays within its bound, the rest is dropped and counted,
// and the process does not grow.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { SinkMetrics } from 'koa-registry';
import { test } from 'uvu';
import { startProcess } from '../support/process.js';
import { randomImage } from '../support/random-image.js';
import { RegistryClient } from '../support/registry-client.js';
import { skip } from '../support/requires.js';
import { tempFolder } from '../support/temp-folder.js';

const SERVER = fileURLToPath(new URL('notifications-memory-server.js', import.meta.url));
const MAX_EVENTS = 1000;

/** Until the queues are full, and what grows once has grown. */
const FIRST = 6_000;
const MORE = 20_000;

/** What a process may grow that has nothing to keep: heaps breathe. */
const ALLOWANCE = 48 << 20;

/** In bytes. */
function memoryOf(pid: number): number {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

function get(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent }, (response) => response.resume().once('end', resolve).once('error', reject));
    sent.once('error', reject).end();
  });
}

/** Asks so many times, a few at once. */
async function pull(url: string, times: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  let left = times;
  const client = async () => {
    while (left-- > 0) await get(url, agent);
  };
  await Promise.all(Array.from({ length: 8 }, client));
  agent.destroy();
}

async function metricsOf(origin: string): Promise<SinkMetrics[]> {
  const counted = (await (await fetch(`${origin}/`)).json()) as Record<string, Record<string, SinkMetrics>>;
  return Object.values(counted).flatMap((named) => Object.values(named));
}

/** Whether every event is accounted for, and the oldest are dropped. */
function isSettled({ pending, events, dropped, delivered }: SinkMetrics): boolean {
  return events - dropped - delivered === pending && pending <= MAX_EVENTS;
}

const TITLE = 'a registry whose sinks take nothing does not grow';

test(TITLE, async () => {
  const folder = tempFolder();
  const server = await startProcess(process.execPath, [SERVER, folder, String(MAX_EVENTS)], {
    ready: /listening on (\d+)/,
  });
  try {
    const origin = `http://127.0.0.1:${server.match?.[1]}`;
    const image = randomImage({ layers: [10, 20, 30] });
    const urls = ['memory', 'disk'].map((prefix) => `${origin}/${prefix}/v2/a/manifests/${image.digest}`);
    for (const prefix of ['memory', 'disk']) {
      await new RegistryClient(`${origin}/${prefix}`).pushImage('a', 'latest', image);
    }
    for (const url of urls) await pull(url, FIRST);
    const before = memoryOf(server.pid);
    for (const url of urls) await pull(url, MORE);
    const growth = memoryOf(server.pid) - before;
    assert.ok(growth < ALLOWANCE, `${Math.round(growth / 2 ** 20)} MiB more after ${2 * MORE} events`);

    // The last events may just be on their way into their queue.
    let sinks = await metricsOf(origin);
    for (let turn = 0; turn < 250 && !sinks.every(isSettled); turn++) {
      await delay(20);
      sinks = await metricsOf(origin);
    }
    assert.equal(sinks.length, 3);
    for (const sink of sinks) {
      assert.ok(sink.pending <= MAX_EVENTS, `${sink.pending} wait`);
      assert.ok(sink.events >= FIRST + MORE);
      assert.ok(isSettled(sink), JSON.stringify(sink));
    }
  } finally {
    await server.stop();
  }
});
if (!existsSync('/proc/self/status')) skip(test, 'notifications, memory', TITLE, 'needs /proc');

test.run();
