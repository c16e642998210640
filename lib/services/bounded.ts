// Running many small storage calls at once, but not all at once.

/**
 * Maps `items` with at most `limit` calls under way. After the first failure no further call begins,
 * and it is thrown when those under way are done: nothing goes on behind the caller's back. Results
 * keep the order.
 */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  call: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  let failure: { readonly error: unknown } | undefined;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      try {
        results[index] = await call(items[index] as T);
      } catch (error) {
        next = items.length;
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  if (failure !== undefined) throw (failure as { readonly error: unknown }).error;
  return results;
}
