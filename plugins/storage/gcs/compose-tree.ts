// Joins any number of objects though the service takes 32 at a time: what stands between is composed
// of 32, and so on, and removed again.
import { randomUUID } from 'node:crypto';
import type { BucketObject } from 'koa-registry';

/** The most sources of one request (https://cloud.google.com/storage/quotas). */
const MOST_SOURCES = 32;

export interface Composer {
  compose(sources: readonly BucketObject[], to: string): Promise<BucketObject>;
  remove(names: readonly string[]): Promise<void>;
}

/** Makes `to` of `parts`, of which there is at least one. */
export async function composeTree(parts: readonly BucketObject[], to: string, composer: Composer): Promise<void> {
  const made: string[] = [];
  try {
    let level = parts;
    while (level.length > MOST_SOURCES) {
      const groups = inGroups(level);
      const names = groups.map(() => `${parts[0]?.name}~${randomUUID()}`);
      made.push(...names);
      const composed = groups.map((group, index) => composer.compose(group, names[index] ?? to));
      // What is still being made when another fails has to be there before it can be removed.
      await Promise.allSettled(composed);
      level = await Promise.all(composed);
    }
    await composer.compose(level, to);
  } finally {
    await composer.remove(made);
  }
}

function inGroups(objects: readonly BucketObject[]): readonly (readonly BucketObject[])[] {
  const groups = Array.from({ length: Math.ceil(objects.length / MOST_SOURCES) }, (_, index) => index * MOST_SOURCES);
  return groups.map((start) => objects.slice(start, start + MOST_SOURCES));
}
