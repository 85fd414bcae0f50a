import { parseCursor } from '@everywire/protocol';
import type { Progress } from '../seams/subscription-api.ts';

/** What is kept of a group. */
export interface GroupRecord {
  readonly progress: Progress;
  /** It had members when this was written, so that what it delivered afterwards is not known. */
  readonly hasMembers: boolean;
  /** It stays without members. */
  readonly isKept: boolean;
}

const version = 1;

export function encodeGroupRecord({ progress, hasMembers, isKept }: GroupRecord): Buffer {
  const { cursor, ackedAhead, deliveredThroughSeq } = progress;
  return Buffer.from(
    JSON.stringify({ version, cursor, ackedAhead, deliveredThroughSeq, hasMembers, isKept }),
  );
}

/** `undefined` when these bytes are no record of this version. */
export function decodeGroupRecord(bytes: Buffer): GroupRecord | undefined {
  let row: Record<string, unknown> | null;
  try {
    row = JSON.parse(bytes.toString()) as Record<string, unknown> | null;
  } catch {
    return undefined;
  }
  if (typeof row !== 'object' || row === null) return undefined;
  const { cursor, ackedAhead, deliveredThroughSeq, hasMembers, isKept } = row;
  const isSound =
    row['version'] === version &&
    isCursor(cursor) &&
    Array.isArray(ackedAhead) &&
    ackedAhead.every(isCursor) &&
    Number.isSafeInteger(deliveredThroughSeq) &&
    typeof hasMembers === 'boolean' &&
    typeof isKept === 'boolean';
  if (!isSound) return undefined;
  return {
    progress: { cursor, ackedAhead, deliveredThroughSeq: deliveredThroughSeq as number },
    hasMembers,
    isKept,
  };
}

function isCursor(value: unknown): value is string {
  return typeof value === 'string' && parseCursor(value) !== undefined;
}
