// An event as a person would read it: `push team/hello:1.0 by alice`.
import type { RegistryEvent } from 'koa-registry';

export function summaryOf({ action, target, actor }: RegistryEvent): string {
  const { repository, tag, digest, fromRepository } = target;
  const what = tag === undefined ? `${repository}@${digest}` : `${repository}:${tag}`;
  const from = fromRepository === undefined ? '' : ` from ${fromRepository}`;
  return `${action} ${what}${from} by ${actor.name ?? 'nobody in particular'}`;
}
