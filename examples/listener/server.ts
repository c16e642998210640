// A listener for the events of a registry. It believes only what is signed, takes every event once, and prints a
// line for each; README.md says how to send it some. HOST, PORT and SECRET come from the environment.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Koa from 'koa';
import { takeEvents } from './endpoint.js';
import { summaryOf } from './summary.js';

const { HOST = '127.0.0.1', PORT = '5002', SECRET = '' } = process.env;
if (SECRET === '') throw new Error('SECRET is what the registry signs with: hmac.secret of its webhook');

const endpoint = takeEvents({ secret: SECRET, take: (event) => console.log(summaryOf(event)) });

const server = createServer(new Koa().use(endpoint).callback());
server.listen(Number(PORT), HOST, () => {
  const { address, port } = server.address() as AddressInfo;
  console.log(`listener listens on http://${address}:${port}/events`);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    server.close();
    server.closeIdleConnections();
  });
}
