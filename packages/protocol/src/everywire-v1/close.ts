import { errorTable, readReason, reasonOf, type EverywireError, type Refusal } from '../errors.ts';
import type { GapNotice, GapReason } from '../envelope.ts';

/** Why a WebSocket is closed: a code for programs, and a reason for people with details that a code cannot carry. */

/**
 * A raw connection has no frame for a gap between payloads. So the server closes it, and the client comes back with the
 * cursor in the reason.
 */
export const gapCloseCode = 4002;

/** The close code and reason for an error that ends a connection. */
export function closeOf(error: EverywireError): { readonly code: number; readonly reason: string } {
  return { code: errorTable[error.code].close, reason: reasonOf(error) };
}

/** Reads the reason of a close code. It may be any text: that of a proxy, or one cut at 123 bytes (RFC 6455 §5.5). */
export function readClose(closeCode: number, reason: string): Refusal & { readonly closeCode: number } {
  return { ...readReason(reason), closeCode };
}

/**
 * The reason of a 4002: the missing messages, and the cursor to come back with. Within the 123 bytes of a Close frame.
 */
export function gapReason({ from, to, reason, cursor }: GapNotice): string {
  const range = from === undefined || to === undefined ? '' : ` ${from}-${to}`;
  return `gap ${reason}${range} after=${cursor}`;
}

/** Reads the reason of a 4002, whose channel is the connection's. `undefined` for anything else. */
export function readGapReason(reason: string): Omit<GapNotice, 'channel'> | undefined {
  const match = /^gap ([a-z_]+)(?: (\d{1,16})-(\d{1,16}))? after=([0-9a-z.]+)$/.exec(reason);
  if (match === null) return undefined;
  const range = match[2] === undefined ? {} : { from: Number(match[2]), to: Number(match[3]) };
  return { ...range, reason: match[1] as GapReason, cursor: match[4]! };
}
