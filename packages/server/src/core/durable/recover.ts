import type { RecordWrite } from '../seams/store.ts';
import type { DurableKind, Recovered } from './kind.ts';
import type { KindRows } from './kind-rows.ts';
import type { DurableRow } from './row.ts';
import type { DurableServices } from './services.ts';

/**
 * Finds the sessions of a kind. Those that a crash left open are away from now on, and what they may have delivered by now
 * is marked in their rows, so that later crashes do not widen it. Those of another living node are left as they are.
 */
export async function* recoverSessions<State, Window>(
  kind: DurableKind<State, Window>,
  rows: KindRows<State, Window>,
  { cluster, clock, records, headSeq }: DurableServices,
): AsyncGenerator<Recovered<State>> {
  const living = new Set((await cluster.nodes()).map(({ node }) => node));
  living.delete(cluster.node);
  for await (const page of rows.pages()) {
    const writes: RecordWrite[] = [];
    const found: Recovered<State>[] = [];
    for (const { key, value } of page) {
      const decoded = rows.decode(key, value);
      if (decoded === undefined) continue;
      const { row, state } = decoded;
      const nowMs = clock.nowMs();
      const isElsewhere = row.node !== undefined && living.has(row.node);
      const isLeft = row.presence === 'away' || isElsewhere;
      const agoMs = isLeft ? Math.max(0, nowMs - row.sinceMs) : 0;
      const isExpired = row.keepMs !== undefined && agoMs > row.keepMs;
      if (isExpired && !isElsewhere && kind.due === undefined) {
        writes.push(...rows.removal(key));
        continue;
      }
      if (!isLeft) {
        const maybe = row.maybeDeliveredThroughSeq;
        const away: DurableRow = {
          ...row,
          node: cluster.node,
          presence: 'away',
          sinceMs: nowMs,
          maybeDeliveredThroughSeq: row.presence === 'open' ? Math.max(maybe, headSeq()) : maybe,
        };
        writes.push(rows.rowWrite(key, away, ''));
      }
      found.push({ key, row, state, agoMs });
    }
    if (writes.length > 0) await records.write(writes);
    yield* found;
  }
}
