import { writeGuarded, type GuardedWrites } from './guarded-writes.ts';
import type { DurableKind, Recovered } from './kind.ts';
import type { KindRows } from './kind-rows.ts';
import type { DurableRow } from './row.ts';
import type { DurableServices } from './services.ts';

/**
 * Finds the sessions of a kind. Those that a crash left open are away from now on, and their rows mark what they may
 * have delivered by now, so that later crashes do not widen it. Sessions of another running node are not changed, nor
 * are those that another node writes meanwhile.
 */
export async function* recoverSessions<State, Window>(
  kind: DurableKind<State, Window>,
  rows: KindRows<State, Window>,
  services: DurableServices,
): AsyncGenerator<Recovered<State>> {
  const { cluster, clock, records } = services;
  const living = new Set((await cluster.nodes()).map(({ node }) => node));
  living.delete(cluster.node);
  for await (const page of rows.pages()) {
    const changes: GuardedWrites[] = [];
    const found: Recovered<State>[] = [];
    for (const { key, value } of page) {
      const decoded = rows.decode(key, value);
      if (decoded === undefined) continue;
      const { row, state } = decoded;
      const isElsewhere = row.node !== undefined && living.has(row.node);
      const isLeft = row.presence === 'away' || isElsewhere;
      const agoMs = isLeft ? Math.max(0, clock.nowMs() - row.sinceMs) : 0;
      const isExpired = row.keepMs !== undefined && agoMs > row.keepMs;
      const change = { table: kind.table, key, expected: value };
      if (isExpired && !isElsewhere && kind.due === undefined) {
        changes.push({ ...change, writes: rows.removal(key) });
        continue;
      }
      if (!isLeft) {
        const away = leftByCrash(row, services);
        changes.push({ ...change, writes: [rows.rowWrite(key, away, '')] });
      }
      found.push({ key, row, state, agoMs });
    }
    const changed = await writeGuarded(records, changes);
    yield* found.filter(({ key }) => !changed.has(key));
    for (const key of changed) {
      const value = await records.get(kind.table, key);
      const decoded = value && rows.decode(key, value);
      if (decoded !== undefined)
        yield { key, ...decoded, agoMs: Math.max(0, clock.nowMs() - decoded.row.sinceMs) };
    }
  }
}

/** The new row of a session whose node is gone and whose holder did not leave it. */
export function leftByCrash(
  row: DurableRow,
  { cluster, clock, headSeq }: Pick<DurableServices, 'cluster' | 'clock' | 'headSeq'>,
): DurableRow {
  const maybe = row.maybeDeliveredThroughSeq;
  return {
    ...row,
    node: cluster.node,
    presence: 'away',
    sinceMs: clock.nowMs(),
    maybeDeliveredThroughSeq: row.presence === 'open' ? Math.max(maybe, headSeq()) : maybe,
  };
}
