import type { Clock } from '../clock.ts';
import { Counts } from '../sessions/counts.ts';
import { boundedSubject as subjectBoundedBy } from '../sessions/subject-quotas.ts';
import type { RecordStore } from '../seams/store.ts';
import { writeGuarded, type GuardedWrites } from './guarded-writes.ts';
import type { DurableKind } from './kind.ts';
import type { KindRows } from './kind-rows.ts';
import type { DurableRow } from './row.ts';

const sweepRows = 200;

export interface SweepOptions<State, Window> {
  readonly rows: KindRows<State, Window>;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly isStopped: () => boolean;
  /** The session is open, or is being opened. */
  readonly isKnown: (key: string) => boolean;
  /** Writes the row of an open session anew, so that it does not become old. */
  readonly touch: (key: string) => void;
}

/**
 * Removes rows that were not used for long, then the oldest of each subject above its limit, then the oldest of all
 * above the limit. Reads a page at a time, so the number of sessions takes no memory.
 */
export async function sweepOldest<State, Window>(
  { quota, table }: DurableKind<State, Window>,
  options: SweepOptions<State, Window>,
): Promise<void> {
  const perSubjectMax = quota.perSubjectMax ?? Number.POSITIVE_INFINITY;
  const from = { ...options, table };
  const bySubject = new Counts();
  let kept = 0;
  let excess = 0;
  await removeAll(from, Number.POSITIVE_INFINITY, (key, row) => {
    const ageMs = options.clock.nowMs() - (row?.sinceMs ?? Number.NEGATIVE_INFINITY);
    const keepMs = row?.keepMs ?? Number.POSITIVE_INFINITY;
    const isKnown = options.isKnown(key);
    if (isKnown && ageMs > keepMs / 2) options.touch(key);
    // A row that cannot be read is as useless as one that is too old.
    if (!isKnown && (row === undefined || ageMs > keepMs)) return true;
    kept += 1;
    const subject = row && boundedSubject(row);
    if (subject === undefined) return false;
    bySubject.add(subject);
    if (bySubject.of(subject) > perSubjectMax) excess += 1;
    return false;
  });
  kept -= await removeAll(from, excess, (key, row) => {
    const subject = row && boundedSubject(row);
    if (options.isKnown(key) || subject === undefined || bySubject.of(subject) <= perSubjectMax) return false;
    bySubject.remove(subject);
    return true;
  });
  await removeAll(from, kept - quota.max, (key) => !options.isKnown(key));
}

/** Removes at most `most` of the rows that `isOne` says, in key order, and returns how many. */
async function removeAll<State, Window>(
  { rows, records, isStopped, table }: SweepOptions<State, Window> & { readonly table: string },
  most: number,
  isOne: (key: string, row: DurableRow | undefined) => boolean,
): Promise<number> {
  let removed = 0;
  if (most <= 0) return removed;
  for await (const page of rows.pages(sweepRows)) {
    if (isStopped()) break;
    const gone: GuardedWrites[] = [];
    for (const { key, value } of page) {
      if (removed + gone.length >= most) break;
      if (isOne(key, rows.decode(key, value)?.row))
        gone.push({ table, key, expected: value, writes: rows.removal(key) });
    }
    // A row that changed meanwhile belongs to a session that its client came back to, maybe at another node.
    const kept = await writeGuarded(records, gone);
    removed += gone.length - kept.size;
    if (removed >= most) break;
  }
  return removed;
}

function boundedSubject({ subject, rights }: DurableRow): string | undefined {
  return subjectBoundedBy({ subject, isAdmin: false, ...rights });
}
