// The two sides of a comparison on an object store: a registry, and the store's own SDK alone in a
// process like the registry's.
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Connection, request } from './connection.js';
import { expectAnswer } from './load.js';
import { unpin } from './pinning.js';
import { type Blob, pushBlob, pushBlobByPatch, removePushed } from './push.js';
import { type Contender, type Server, type Site, startServer } from './server.js';
import type { ObjectStore, RunningStore } from './stores.js';

/** A transfer that a side is told to do: of a blob, under a name of its own. */
export type Transfer<T> = (connection: Connection, name: string, blob: Blob) => Promise<T>;

/** A process that transfers blobs, and how it is told to. */
export interface Side extends Server {
  /** Pushes what is known by its digest once it is there. */
  readonly push: Transfer<void>;
  /** Pushes to a name that is known beforehand. */
  readonly pushNamed: Transfer<void>;
  /** Rejects unless what comes has the digest of what was pushed. */
  readonly pull: Transfer<void>;
  /** Push and pull once more in another way, and say what a reader of the rates should know. */
  readonly explain: { readonly push: Transfer<string>; readonly pull: Transfer<string> };
  /** Takes what was pushed out of the store, behind everybody's back. */
  discard(name: string, blob: Blob): Promise<void>;
}

async function startSide(name: string, file: string, { address, root }: RunningStore, site: Site): Promise<Server> {
  const contender: Contender = {
    name,
    prepare: async (_folder, _root, port) => ({
      command: [process.execPath, fileURLToPath(new URL(file, import.meta.url))],
      env: { STORE: JSON.stringify(address), HOST: '127.0.0.1', PORT: String(port), NODE_ENV: 'production' },
    }),
  };
  const server = await startServer(contender, site);
  unpin(server.pid, site.placement);
  return { ...server, root };
}

const rate = ({ size }: Blob, since: number) => `${(size / 1e3 / (performance.now() - since)).toFixed(0)} MB/s`;
const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;

/** A registry whose storage plugin is the store's. */
export async function startRegistry({ name }: ObjectStore, store: RunningStore, site: Site): Promise<Side> {
  const server = await startSide(name, 'stored-server.js', store, site);
  return {
    ...server,
    push: pushBlob,
    pushNamed: pushBlob,
    async pull(connection, repository, blob) {
      const hash = createHash('sha256');
      await pullBlob(connection, repository, blob, (bytes) => void hash.update(bytes));
      if (`sha256:${hash.digest('hex')}` !== blob.digest) throw new Error('another content came');
    },
    explain: {
      async push(connection, repository, blob) {
        const start = performance.now();
        const last = await pushBlobByPatch(connection, repository, blob);
        const all = performance.now() - start;
        return `of a push of ${seconds(all)} by PATCH and PUT the PUT took ${seconds(last)}: the store joins the parts`;
      },
      async pull(connection, repository, blob) {
        const start = performance.now();
        await pullBlob(connection, repository, blob);
        return `${name}, with a client that makes no digest: ${rate(blob, start)}`;
      },
    },
    discard: (repository, blob) => removePushed(store.root, repository, [blob]),
  };
}

async function pullBlob(
  connection: Connection,
  repository: string,
  { digest, size }: Blob,
  onBody?: (bytes: Uint8Array) => void,
): Promise<void> {
  const question = request('GET', `/v2/${repository}/blobs/${digest}`);
  expectAnswer(await connection.exchange({ ...question, ...(onBody && { onBody }) }), 200, size);
}

/** The SDK alone. It makes the content itself: what it is told is only the name. */
export async function startSdk(store: RunningStore, site: Site): Promise<Side> {
  const server = await startSide('its SDK alone', 'sdk-server.js', store, site);
  return {
    ...server,
    push: (connection, name) => tell(connection, 'PUT', `/${name}?published`),
    pushNamed: (connection, name) => tell(connection, 'PUT', `/${name}`),
    pull: (connection, name) => tell(connection, 'GET', `/${name}`),
    explain: {
      async push(connection, name, blob) {
        const start = performance.now();
        await tell(connection, 'PUT', `/${name}?checks=none`);
        return `its SDK alone, to a name known beforehand, with neither digest nor checksums: ${rate(blob, start)}`;
      },
      async pull(connection, name, blob) {
        const start = performance.now();
        await tell(connection, 'GET', `/${name}?checks=none`);
        return `its SDK alone, with neither digest nor checksums: ${rate(blob, start)}`;
      },
    },
    discard: (name) => rm(join(store.root, name), { force: true }),
  };
}

async function tell(connection: Connection, method: string, target: string): Promise<void> {
  expectAnswer(await connection.exchange(request(method, target, { 'Content-Length': 0 })), 200, 0);
}
