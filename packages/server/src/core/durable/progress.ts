import { parseCursor } from '@everywire/protocol';
import type { AckedRange, Progress } from '../seams/subscription-api.ts';

/** How far one subscription of a durable session is. */
export interface SubscriptionProgress {
  /** Names the subscription within its session. */
  readonly id: string;
  readonly filter: string;
  readonly progress: Progress;
}

/** Its form in a row: id, filter, cursor, acknowledgements above it, highest seq that was delivered. */
export type StoredProgress = readonly [
  id: string,
  filter: string,
  cursor: string,
  acksAboveWatermark: readonly AckedRange[],
  deliveredWatermark: number,
];

export function storeProgress({ id, filter, progress }: SubscriptionProgress): StoredProgress {
  return [id, filter, progress.cursor, progress.acksAboveWatermark, progress.deliveredWatermark];
}

/** `undefined` when this is not what `storeProgress` returned. */
export function parseProgress(stored: unknown): SubscriptionProgress | undefined {
  if (!Array.isArray(stored)) return undefined;
  const [id, filter, cursor, acksAboveWatermark, deliveredWatermark] = stored as unknown[];
  if (typeof id !== 'string' || typeof filter !== 'string') return undefined;
  const progress = checkProgress({ cursor, acksAboveWatermark, deliveredWatermark });
  return progress && { id, filter, progress };
}

/** Reads a progress out of a row; `undefined` for an invalid one. */
export function checkProgress(fields: {
  readonly cursor?: unknown;
  readonly acksAboveWatermark?: unknown;
  readonly deliveredWatermark?: unknown;
}): Progress | undefined {
  const { cursor, acksAboveWatermark, deliveredWatermark } = fields;
  if (!isCursor(cursor) || !Array.isArray(acksAboveWatermark) || !acksAboveWatermark.every(isAckedRange))
    return undefined;
  if (typeof deliveredWatermark !== 'number' || !Number.isSafeInteger(deliveredWatermark)) return undefined;
  return { cursor, acksAboveWatermark, deliveredWatermark };
}

/** As version 0.1 stored it, under other names; `undefined` for an invalid one. */
export function checkEarlierProgress(fields: {
  readonly cursor?: unknown;
  readonly ackedAhead?: unknown;
  readonly deliveredThroughSeq?: unknown;
}): Progress | undefined {
  const { cursor, ackedAhead, deliveredThroughSeq } = fields;
  return checkProgress({ cursor, acksAboveWatermark: ackedAhead, deliveredWatermark: deliveredThroughSeq });
}

/** Everything up to `seq` may have been delivered: the row was not written after the last delivery. */
export function mayBeDelivered(
  subscriptions: readonly SubscriptionProgress[],
  seq: number,
): readonly SubscriptionProgress[] {
  if (seq === 0) return subscriptions;
  return subscriptions.map(({ progress, ...named }) => ({
    ...named,
    progress: { ...progress, deliveredWatermark: Math.max(progress.deliveredWatermark, seq) },
  }));
}

/** Earlier versions wrote no ranges. */
function isAckedRange(value: unknown): value is AckedRange {
  if (!Array.isArray(value)) return isCursor(value);
  return value.length === 2 && value.every(isCursor);
}

function isCursor(value: unknown): value is string {
  return typeof value === 'string' && parseCursor(value) !== undefined;
}
