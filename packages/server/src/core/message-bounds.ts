import type { Limits } from './limits.ts';

/** How a message is written: its bytes as they are, or as text within JSON. */
export type WireForm = 'bytes' | 'base64' | 'json';

/**
 * What one byte of a payload may become. JSON writes a control character as `\u0001`, and a client may write any character
 * so. A character of base64 may be escaped too: PHP writes `/` as `\/`.
 */
const growth: Readonly<Record<WireForm, number>> = { bytes: 1, base64: (4 / 3) * 2, json: 6 };

/** Names of members, cursor, id, time, and what a protocol puts around them. */
const frameRoomBytes = 4 * 1024;
/** Quotes, colons and length fields of one header. */
const headerRoomBytes = 16;

type BoundingLimits = Pick<
  Limits,
  | 'payloadBytesMax'
  | 'nameBytesMax'
  | 'eventBytesMax'
  | 'typeBytesMax'
  | 'publishIdBytesMax'
  | 'messageHeadersMax'
  | 'messageHeaderBytesMax'
>;

/** The most bytes of one message in `form`. Every bound of a frame, a body or a queue that holds a message is at least this. */
export function messageBytesMax(limits: BoundingLimits, form: WireForm): number {
  const { payloadBytesMax, messageHeadersMax, messageHeaderBytesMax } = limits;
  const names = limits.nameBytesMax + limits.eventBytesMax + limits.typeBytesMax + limits.publishIdBytesMax;
  // Headers, and what only the publisher's own protocol can say, which has the same bound.
  const beside = names + 2 * messageHeaderBytesMax + headerRoomBytes * messageHeadersMax;
  const besideGrowth = form === 'bytes' ? growth.bytes : growth.json;
  return Math.ceil(payloadBytesMax * growth[form]) + beside * besideGrowth + frameRoomBytes;
}
