import type { Identity } from '../sessions/access.ts';
import { parseProgress, storeProgress, type SubscriptionProgress } from './progress.ts';

/**
 * `open`: a holder has the session, or had it when the server was killed, so more may have been delivered than the row
 * says. `drained`: the server sent its client away. `away`: its client left, or its connection broke.
 */
export type Presence = 'open' | 'drained' | 'away';

/** What a durable session is, as the store keeps it. */
export interface DurableRow {
  /** Which node wrote it; earlier versions did not say. */
  readonly node: string | undefined;
  readonly presence: Presence;
  /** Since when it has this presence, by the wall clock; while open, when the row was written. */
  readonly sinceMs: number;
  /** How long it is kept while it has no holder; `undefined`: until it is removed. */
  readonly keepMs: number | undefined;
  /** The subject of its owner: quotas count by it. */
  readonly subject: string | undefined;
  /** The rights of its owner when the row was written. They are checked again when they are used. */
  readonly rights: Pick<Identity, 'isAdmin' | 'claims'> | undefined;
  /** Messages up to here may have been delivered although the progress does not say so: the server was killed. */
  readonly maybeDeliveredThroughSeq: number;
  /** Empty where the kind keeps a window row: then the progress is there. */
  readonly subscriptions: readonly SubscriptionProgress[];
  /** State that only the protocol reads. Any JSON value. */
  readonly state: unknown;
}

/** The state that changes with every acknowledgement, for kinds that keep it in a separate row. */
export interface WindowRow {
  readonly subscriptions: readonly SubscriptionProgress[];
  readonly state: unknown;
}

/**
 * The format of both rows. A version that reads other fields than these must raise it. Rows of before this format have no
 * such member; each kind reads its own (`DurableKind.earlier`).
 */
const format = 1;

export type Decoded<Row> =
  | { readonly kind: 'row'; readonly row: Row }
  /** No row of this format, so an earlier version may have written it. */
  | { readonly kind: 'earlier' }
  | { readonly kind: 'unreadable'; readonly reason: string };

export function encodeRow(row: DurableRow, token: string): Buffer {
  const { node, presence, sinceMs, keepMs, subject, rights, maybeDeliveredThroughSeq, subscriptions, state } =
    row;
  return Buffer.from(
    JSON.stringify({
      durable: format,
      node,
      token,
      presence,
      sinceMs,
      keepMs,
      subject,
      rights,
      maybe: maybeDeliveredThroughSeq === 0 ? undefined : maybeDeliveredThroughSeq,
      follows: subscriptions.map(storeProgress),
      state,
    }),
  );
}

export function decodeRow(bytes: Buffer): Decoded<DurableRow> {
  const fields = parseFields(bytes);
  if (fields.kind !== 'row') return fields;
  const { node, presence, sinceMs, keepMs, subject, rights, maybe = 0, state } = fields.row;
  const subscriptions = parseSubscriptions(fields.row['follows']);
  const isSound =
    (node === undefined || typeof node === 'string') &&
    (presence === 'open' || presence === 'drained' || presence === 'away') &&
    typeof sinceMs === 'number' &&
    (keepMs === undefined || typeof keepMs === 'number') &&
    (subject === undefined || typeof subject === 'string') &&
    (rights === undefined || isRights(rights)) &&
    Number.isSafeInteger(maybe) &&
    subscriptions !== undefined;
  if (!isSound) return { kind: 'unreadable', reason: 'a field is missing or of another type' };
  const maybeDeliveredThroughSeq = maybe as number;
  return {
    kind: 'row',
    row: { node, presence, sinceMs, keepMs, subject, rights, maybeDeliveredThroughSeq, subscriptions, state },
  };
}

export function encodeWindow({ subscriptions, state }: WindowRow): Buffer {
  return Buffer.from(JSON.stringify({ durable: format, follows: subscriptions.map(storeProgress), state }));
}

export function decodeWindow(bytes: Buffer): Decoded<WindowRow> {
  const fields = parseFields(bytes);
  if (fields.kind !== 'row') return fields;
  const subscriptions = parseSubscriptions(fields.row['follows']);
  if (subscriptions === undefined) return { kind: 'unreadable', reason: 'a progress is invalid' };
  return { kind: 'row', row: { subscriptions, state: fields.row['state'] } };
}

function parseFields(bytes: Buffer): Decoded<Readonly<Record<string, unknown>>> {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    return { kind: 'unreadable', reason: 'it is no JSON' };
  }
  if (typeof value !== 'object' || value === null) return { kind: 'unreadable', reason: 'it is no object' };
  const row = value as Readonly<Record<string, unknown>>;
  const written = row['durable'];
  if (written === undefined) return { kind: 'earlier' };
  if (written === format) return { kind: 'row', row };
  return { kind: 'unreadable', reason: `it has the format ${JSON.stringify(written)}` };
}

function parseSubscriptions(stored: unknown): readonly SubscriptionProgress[] | undefined {
  if (!Array.isArray(stored)) return undefined;
  const parsed = stored.map(parseProgress);
  return parsed.every((one) => one !== undefined) ? parsed : undefined;
}

function isRights(value: unknown): value is Pick<Identity, 'isAdmin' | 'claims'> {
  return typeof value === 'object' && value !== null && typeof (value as Identity).isAdmin === 'boolean';
}
