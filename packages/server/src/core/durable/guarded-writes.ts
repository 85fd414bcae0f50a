import { StaleWrite } from '../cluster/stale-write.ts';
import type { RecordStore, RecordWrite } from '../seams/store.ts';

/** Writes that follow from one row, and must not be made once that row is another. */
export interface GuardedWrites {
  readonly table: string;
  readonly key: string;
  /** The row as it was read. */
  readonly expected: Buffer;
  readonly writes: readonly RecordWrite[];
}

/** Writes all of them, except those whose row was changed meanwhile: returns the keys of these. */
export async function writeGuarded(
  records: RecordStore,
  all: readonly GuardedWrites[],
): Promise<ReadonlySet<string>> {
  const changed = new Set<string>();
  const write = async (some: readonly GuardedWrites[]): Promise<void> => {
    if (some.length === 0) return;
    try {
      await records.write(
        some.flatMap(({ writes }) => writes),
        { guards: some.map(({ table, key, expected }) => ({ table, key, expected })) },
      );
    } catch (cause) {
      if (!(cause instanceof StaleWrite)) throw cause;
      if (some.length === 1) {
        changed.add(some[0]!.key);
        return;
      }
      // Halves, so that one changed row among thousands costs a few writes and not thousands.
      const middle = some.length >> 1;
      await write(some.slice(0, middle));
      await write(some.slice(middle));
    }
  };
  await write(all);
  return changed;
}
