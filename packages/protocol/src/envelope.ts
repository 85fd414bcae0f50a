import { base64OfBytes, bytesOfBase64 } from './base64.ts';
import { formatCursor, type Position } from './cursor.ts';
import { asRecord } from './exact-json.ts';
import { decodeUtf8, shapeOfType } from './media.ts';

/** A message as JSON, on every wire that uses JSON. Empty fields are absent, never null. */
export interface Envelope {
  readonly channel: string;
  /** The message's number in its channel: 1, 2, 3, no holes. */
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  /** RFC 3339, UTC, milliseconds. */
  readonly time: string;
  readonly event?: string;
  /** Media type of the payload. */
  readonly type: string;
  /** The JSON value when `type` is JSON, a string when it is text. */
  readonly data?: unknown;
  /** The payload in base64, instead of `data`, if it is neither JSON nor text. */
  readonly base64?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The authenticated subject that published it; never set by the client. */
  readonly from?: string;
}

/**
 * The messages between a cursor and the next valid position are gone, or the server cannot prove that the log is the
 * same.
 */
export interface GapNotice {
  readonly channel: string;
  /** The first and last missing offset; absent if the server does not know the range. */
  readonly from?: number;
  readonly to?: number;
  readonly reason: GapReason;
  /** The next valid cursor: reading resumes from here. */
  readonly cursor: string;
}

/**
 * `retention`: trimmed. `deleted`: the channel was deleted. `restored`: the cursor comes from a life of the log that
 * this store does not have. `damaged`: the stored record fails its checksum. `unknown`: the reader's place is not a
 * cursor, such as the event id of another server; it reads on from now.
 */
export type GapReason = 'retention' | 'deleted' | 'restored' | 'damaged' | 'unknown';

export type Continuity = 'exact' | 'gap';

/** The answer to a publisher once its message is stored. */
export interface Receipt {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly time: string;
  /** Present and true if the publish id was used before: the receipt is then a copy of the first one. */
  readonly duplicate?: true;
}

/** The fields of an envelope besides the payload. */
export interface MessageFields {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly timeMs: number;
  readonly event?: string | undefined;
  readonly type: string;
  readonly headers?: ReadonlyMap<string, string> | undefined;
  readonly from?: string | undefined;
}

/**
 * The message as JSON text without raw line breaks, for wires that carry envelopes. `payload` is one of the members
 * that the functions below make. `open` is inserted after the first brace, for wires whose frames name their kind.
 */
export function writeEnvelope(message: MessageFields, payload: string, open = ''): string {
  const { event, headers, from } = message;
  return (
    `{${open}"channel":${quote(message.channel)},"offset":${message.offset},"cursor":"${message.cursor}",` +
    `"id":${quote(message.id)},"time":"${formatTime(message.timeMs)}",` +
    (event === undefined ? '' : `"event":${quote(event)},`) +
    `"type":${quote(message.type)},${payload}` +
    (headers === undefined || headers.size === 0
      ? ''
      : `,"headers":${JSON.stringify(Object.fromEntries(headers))}`) +
    (from === undefined ? '}' : `,"from":${quote(from)}}`)
  );
}

/**
 * A payload of a JSON type as a member of its envelope, copied unchanged. Only line breaks between its tokens become
 * spaces, because they would end an NDJSON line.
 */
export function jsonMember(text: string): string {
  // Only a message that removes a retained message may have a JSON type and no payload.
  if (text === '') return '"data":null';
  return `"data":${lineBreak.test(text) ? text.replace(lineBreaks, ' ') : text}`;
}

const lineBreak = /[\r\n]/;
const lineBreaks = /[\r\n]/g;

/** A payload of a text type as a member of its envelope. */
export function textMember(text: string): string {
  return `"data":${quote(text)}`;
}

/** Any other payload as a member of its envelope. */
export function base64Member(base64: string): string {
  return `"base64":"${base64}"`;
}

/** Any payload as a member of its envelope. Bytes that are not UTF-8 go as base64, for every declared type. */
export function payloadMember(type: string, payload: Uint8Array): string {
  const shape = shapeOfType(type);
  const text = shape === 'binary' ? undefined : decodeUtf8(payload);
  if (text === undefined) return base64Member(base64OfBytes(payload));
  return shape === 'json' ? jsonMember(text) : textMember(text);
}

/**
 * Reads an envelope from parsed JSON. With `parseExactly`, its payload keeps large numbers exactly. `undefined` if the
 * value is not an envelope.
 */
export function readEnvelope(value: unknown): Envelope | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { channel, offset, cursor, id, time, event, type, base64, headers, from } = members;
  const isEnvelope =
    [channel, cursor, id, time, type].every(isText) &&
    isOffset(offset) &&
    [event, base64, from].every(isOptionalText) &&
    'data' in members !== 'base64' in members &&
    (headers === undefined || Object.values(asRecord(headers) ?? { headers: 0 }).every(isText));
  return isEnvelope ? (members as unknown as Envelope) : undefined;
}

/** The published bytes, except for white space within JSON. `undefined` if `base64` is not base64. */
export function payloadOf({ type, data, base64 }: Envelope): Uint8Array<ArrayBuffer> | undefined {
  if (base64 !== undefined) return bytesOfBase64(base64);
  const isString = typeof data === 'string' && shapeOfType(type) !== 'json';
  return new TextEncoder().encode(isString ? data : JSON.stringify(data));
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isOptionalText = (value: unknown): boolean => value === undefined || typeof value === 'string';
const isOffset = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** A gap in the form of the log. */
export interface LogGap {
  readonly channel: string;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly reason: GapReason;
  readonly next: Position;
}

export function gapNotice(gap: LogGap): GapNotice {
  return {
    channel: gap.channel,
    ...(gap.from === undefined ? {} : { from: gap.from }),
    ...(gap.to === undefined ? {} : { to: gap.to }),
    reason: gap.reason,
    cursor: formatCursor(gap.next),
  };
}

/**
 * Reads a gap notice from parsed JSON. `undefined` for other JSON. Accepts an unknown reason of a newer server, because
 * the loss is more important than its reason.
 */
export function readGapNotice(value: unknown): GapNotice | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { channel, from, to, reason, cursor } = members;
  const isNotice =
    [channel, cursor, reason].every(isText) &&
    [from, to].every((offset) => offset === undefined || isOffset(offset));
  return isNotice ? (members as unknown as GapNotice) : undefined;
}

export interface StoredMessage {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly timeMs: number;
  readonly duplicate: boolean;
}

export function receipt(stored: StoredMessage): Receipt {
  return {
    channel: stored.channel,
    offset: stored.offset,
    cursor: stored.cursor,
    id: stored.id,
    time: formatTime(stored.timeMs),
    ...(stored.duplicate ? { duplicate: true as const } : {}),
  };
}

/** Reads a receipt from parsed JSON. `undefined` for other JSON. */
export function readReceipt(value: unknown): Receipt | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { channel, offset, cursor, id, time, duplicate } = members;
  const isReceipt =
    [channel, cursor, id, time].every(isText) &&
    isOffset(offset) &&
    (duplicate === undefined || duplicate === true);
  return isReceipt ? (members as unknown as Receipt) : undefined;
}

let formattedMs = Number.NaN;
let formatted = '';

/**
 * RFC 3339. Remembers the last text, because many messages have the same millisecond under load and `toISOString` is
 * most of the cost of an envelope.
 */
export function formatTime(timeMs: number): string {
  if (timeMs !== formattedMs) {
    formatted = new Date(timeMs).toISOString();
    formattedMs = timeMs;
  }
  return formatted;
}

const crockford = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const timeDigits = 10;

/** The time at the start of a message's id (a ULID): the time of the message. */
export function timeOfId(id: string): number {
  let timeMs = 0;
  for (const letter of id.slice(0, timeDigits)) timeMs = timeMs * 32 + Math.max(0, crockford.indexOf(letter));
  return timeMs;
}

// Most names and ids need no escaping, and JSON.stringify costs several times the test.
const plain = /^[ !#-[\]-~]*$/;

function quote(text: string): string {
  return text.length < 64 && plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
