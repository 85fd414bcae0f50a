import { parseCursor } from '@everywire/protocol';
import type { Progress } from '../seams/subscription-api.ts';

/** How far one subscription of a durable session is. */
export interface SubscriptionProgress {
  /** Names the subscription within its session. */
  readonly id: string;
  readonly filter: string;
  readonly progress: Progress;
}

/** As it stands in a row: id, filter, cursor, cursors acknowledged above it, highest seq that was delivered. */
export type StoredProgress = readonly [
  id: string,
  filter: string,
  cursor: string,
  ackedAhead: readonly string[],
  deliveredThroughSeq: number,
];

export function storeProgress({ id, filter, progress }: SubscriptionProgress): StoredProgress {
  return [id, filter, progress.cursor, progress.ackedAhead, progress.deliveredThroughSeq];
}

/** `undefined` when this is not what `storeProgress` returned. */
export function parseProgress(stored: unknown): SubscriptionProgress | undefined {
  if (!Array.isArray(stored)) return undefined;
  const [id, filter, cursor, ackedAhead, deliveredThroughSeq] = stored as unknown[];
  if (typeof id !== 'string' || typeof filter !== 'string') return undefined;
  const progress = checkProgress({ cursor, ackedAhead, deliveredThroughSeq });
  return progress && { id, filter, progress };
}

/** Reads a progress out of a row, also one that an earlier version wrote. `undefined` when it is none. */
export function checkProgress(fields: {
  readonly cursor?: unknown;
  readonly ackedAhead?: unknown;
  readonly deliveredThroughSeq?: unknown;
}): Progress | undefined {
  const { cursor, ackedAhead, deliveredThroughSeq } = fields;
  if (!isCursor(cursor) || !Array.isArray(ackedAhead) || !ackedAhead.every(isCursor)) return undefined;
  if (typeof deliveredThroughSeq !== 'number' || !Number.isSafeInteger(deliveredThroughSeq)) return undefined;
  return { cursor, ackedAhead, deliveredThroughSeq };
}

/** Everything up to `seq` may have been delivered, whatever the row says: it was not written after the last delivery. */
export function mayBeDelivered(
  subscriptions: readonly SubscriptionProgress[],
  seq: number,
): readonly SubscriptionProgress[] {
  if (seq === 0) return subscriptions;
  return subscriptions.map(({ progress, ...named }) => ({
    ...named,
    progress: { ...progress, deliveredThroughSeq: Math.max(progress.deliveredThroughSeq, seq) },
  }));
}

function isCursor(value: unknown): value is string {
  return typeof value === 'string' && parseCursor(value) !== undefined;
}
