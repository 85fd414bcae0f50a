/**
 * Tries all cases, some at a time, and throws what failed with the name of its case. One test for a whole table costs a
 * tenth of the time of a test per case where a case mostly waits for its connection.
 */
export async function tryAll<T extends { readonly what: string }>(
  cases: readonly T[],
  tryOne: (one: T) => Promise<void>,
  togetherMax = 16,
): Promise<void> {
  const failures: Error[] = [];
  const rest = cases.values();
  const worker = async (): Promise<void> => {
    for (const one of rest) {
      try {
        await tryOne(one);
      } catch (cause) {
        failures.push(new Error(`${one.what}: ${String(cause)}`, { cause }));
      }
    }
  };
  await Promise.all(Array.from({ length: togetherMax }, worker));
  if (failures.length === 0) return;
  const names = failures.map(({ message }) => message).join('\n');
  throw new AggregateError(failures, `${failures.length} of ${cases.length} cases failed:\n${names}`);
}
