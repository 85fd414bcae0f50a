import { checkProgress, type SubscriptionProgress } from '../../core/durable/progress.ts';
import type { DurableRow, Presence, WindowRow } from '../../core/durable/row.ts';
import { neverExpires } from './open-session.ts';

/** Rows of version 0.1: `format` is 1 in each. A session and a window get the same checks as present ones. */

const presences: ReadonlyMap<string, Presence> = new Map([
  ['here', 'open'],
  ['drained', 'drained'],
  ['away', 'away'],
]);

type Fields = Readonly<Record<string, unknown>>;

/** `undefined` for a row that version 0.1 did not write. */
export function readEarlierSession(value: Buffer): DurableRow | undefined {
  const row = JSON.parse(value.toString()) as Fields;
  const { clientId, subject, grant, expirySeconds, presence, will, maybeSentThroughSeq, subscriptions } = row;
  const { kind, sinceMs = 0 } = (presence ?? {}) as Fields;
  const known = presences.get(String(kind));
  const { isAdmin, claims } = (grant ?? { isAdmin: false }) as Fields;
  const isSound =
    row['format'] === 1 &&
    known !== undefined &&
    typeof sinceMs === 'number' &&
    typeof expirySeconds === 'number' &&
    (subject === undefined || typeof subject === 'string') &&
    typeof isAdmin === 'boolean' &&
    Number.isSafeInteger(maybeSentThroughSeq);
  if (!isSound) return undefined;
  return {
    node: undefined,
    presence: known,
    sinceMs,
    keepMs: expirySeconds === neverExpires ? undefined : expirySeconds * 1_000,
    subject,
    rights: grant === undefined ? undefined : { isAdmin, claims: claims as never },
    maybeDeliveredThroughSeq: maybeSentThroughSeq as number,
    subscriptions: [],
    state: { clientId, will, subscriptions },
  };
}

/** `undefined` for a row that version 0.1 did not write. */
export function readEarlierWindow(value: Buffer): WindowRow | undefined {
  const { format, progress, inFlight, lastPacketId } = JSON.parse(value.toString()) as Fields;
  if (format !== 1 || !Array.isArray(progress)) return undefined;
  const subscriptions: SubscriptionProgress[] = [];
  const retained: unknown[] = [];
  for (const one of progress as unknown[]) {
    if (!Array.isArray(one)) return undefined;
    const [no, known, place] = one as unknown[];
    if (Array.isArray(place)) retained.push([no, ...(place as unknown[])]);
    if (!Array.isArray(known)) continue;
    const [cursor, acksAboveWatermark, deliveredWatermark] = known as unknown[];
    const read = checkProgress({ cursor, acksAboveWatermark, deliveredWatermark });
    if (read === undefined) return undefined;
    subscriptions.push({ id: String(no), filter: '', progress: read });
  }
  return { subscriptions, state: { retained, inFlight, lastPacketId } };
}
