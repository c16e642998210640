// Pages of an ordered listing.

export interface Page<T> {
  readonly items: readonly T[];
  /** Whether something follows. */
  readonly more: boolean;
}

/** The first `limit` items; reads at most one further to know whether something follows. */
export async function takePage<T>(source: AsyncIterable<T>, limit: number): Promise<Page<T>> {
  const items: T[] = [];
  for await (const item of source) {
    if (items.length === limit) return { items, more: limit > 0 };
    items.push(item);
  }
  return { items, more: false };
}
