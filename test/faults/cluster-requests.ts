// What the tests of a cluster ask of one host or of each.
import * as assert from 'uvu/assert';
import type { Cluster, ClusterHost } from '../support/cluster.js';

export async function statusAt({ url }: ClusterHost, method: string, path: string): Promise<number> {
  const answer = await fetch(`${url}/v2/${path}`, { method });
  await answer.arrayBuffer();
  return answer.status;
}

/** What each host answers. */
export function statuses({ hosts }: Cluster, method: string, path: string): Promise<number[]> {
  return Promise.all(hosts.map((host) => statusAt(host, method, path)));
}

export function pathOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

/** Where an upload ends. */
export function withDigest(at: string, digest: string): string {
  const url = new URL(at);
  url.searchParams.set('digest', digest);
  return url.href;
}

/** Where a session stands, by a host that has had nothing to do with it. */
export async function sessionAt(
  host: ClusterHost,
  at: string,
): Promise<{ readonly size: number; readonly at: string }> {
  const answer = await fetch(host.here(at));
  assert.is(answer.status, 204);
  const [, last = ''] = /^0-(\d+)$/.exec(answer.headers.get('Range') ?? '') ?? [];
  return { size: last === '0' ? 0 : Number(last) + 1, at: answer.headers.get('Location') ?? '' };
}

/** Nobody has a blob, or says so. */
export async function assertGone(cluster: Cluster, repository: string, digest: string): Promise<void> {
  for (const method of ['HEAD', 'GET']) {
    assert.equal(await statuses(cluster, method, `${repository}/blobs/${digest}`), [404, 404, 404], method);
  }
}
