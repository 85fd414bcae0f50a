import { concatenate, type WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import { prefixBytes } from '@everywire/wires/grpc';

/**
 * Messages as protobuf, written by hand: a thousand streams share the bytes, and a generic encoder costs ten times as
 * much for each batch. The field numbers are those of `proto/everywire/v1/messaging.proto`; a test decodes these bytes
 * with the generated code.
 */

const delimited = 2;
const varint = 0;
const tag = (field: number, type: number): number => (field << 3) | type;

/** Field numbers of `Message`. */
const fields = {
  channel: 1,
  offset: 2,
  cursor: 3,
  id: 4,
  time: 5,
  event: 6,
  type: 7,
  data: 8,
  headers: 9,
  from: 10,
} as const;

/** `SubscribeResponse.message`, and `message`, `id` and `redelivered` of `StreamResponse`. */
const messageField = 2;
const idField = 1;
const redeliveredField = 9;

/** Deliveries of `Subscribe`: the same bytes for all streams. */
export const subscribeFormat: WireFormat = {
  id: 'grpc:subscribe',
  encode: (messages) => concatenate(messages.map((message) => frame(message, 0n, false))),
};

const streamFormats = new Map<string, WireFormat>();
/**
 * Clients number their requests from 1, so a few formats serve almost all streams; formats for larger ids are not
 * remembered.
 */
const keptIdMax = 256n;

/** Deliveries of `Stream`, which contain the subscription's id. */
export function streamFormat(id: bigint, isRedelivered: boolean): WireFormat {
  const key = `grpc:stream:${id}${isRedelivered ? ':again' : ''}`;
  let format = streamFormats.get(key);
  if (format === undefined) {
    format = {
      id: key,
      encode: (messages) => concatenate(messages.map((message) => frame(message, id, isRedelivered))),
    };
    if (id <= keptIdMax) streamFormats.set(key, format);
  }
  return format;
}

/** One length-prefixed response around the message; without an id it is a `SubscribeResponse`. */
function frame(message: Message, id: bigint, isRedelivered: boolean): Buffer {
  const plan = planOf(message);
  const idBytes = id === 0n ? 0 : 1 + bigVarintBytes(id);
  const bodyBytes = idBytes + 1 + varintBytes(plan.bytes) + plan.bytes + (isRedelivered ? 2 : 0);
  const bytes = Buffer.alloc(prefixBytes + bodyBytes);
  bytes.writeUInt32BE(bodyBytes, 1);
  let at = prefixBytes;
  if (id !== 0n) {
    bytes[at++] = tag(idField, varint);
    at = writeBigVarint(bytes, at, id);
  }
  bytes[at++] = tag(messageField, delimited);
  at = writeVarint(bytes, at, plan.bytes);
  at = writeMessage(bytes, at, message, plan);
  if (isRedelivered) {
    bytes[at++] = tag(redeliveredField, varint);
    bytes[at] = 1;
  }
  return bytes;
}

interface Plan {
  readonly bytes: number;
  readonly channelBytes: number;
  readonly typeBytes: number;
  readonly timeBytes: number;
  readonly seconds: number;
  readonly nanos: number;
}

function planOf(message: Message): Plan {
  const { channel, cursor, id, event, type, payload, headers, from, timeMs, offset } = message;
  const channelBytes = Buffer.byteLength(channel);
  const typeBytes = Buffer.byteLength(type);
  const seconds = Math.floor(timeMs / 1_000);
  const nanos = Math.round((timeMs - seconds * 1_000) * 1_000_000);
  const timeBytes = 1 + varintBytes(seconds) + (nanos === 0 ? 0 : 1 + varintBytes(nanos));
  let bytes =
    lengthOf(channelBytes) +
    1 +
    varintBytes(offset) +
    lengthOf(cursor.length) +
    lengthOf(id.length) +
    lengthOf(timeBytes) +
    lengthOf(typeBytes);
  if (payload.length > 0) bytes += lengthOf(payload.length);
  if (event !== undefined) bytes += lengthOf(Buffer.byteLength(event));
  if (from !== undefined) bytes += lengthOf(Buffer.byteLength(from));
  if (headers !== undefined) for (const [name, value] of headers) bytes += lengthOf(entryBytes(name, value));
  return { bytes, channelBytes, typeBytes, timeBytes, seconds, nanos };
}

function writeMessage(bytes: Buffer, from: number, message: Message, plan: Plan): number {
  const { cursor, id, event, payload, headers } = message;
  let at = writeText(bytes, from, fields.channel, message.channel, plan.channelBytes);
  bytes[at++] = tag(fields.offset, varint);
  at = writeVarint(bytes, at, message.offset);
  at = writeText(bytes, at, fields.cursor, cursor, cursor.length);
  at = writeText(bytes, at, fields.id, id, id.length);
  bytes[at++] = tag(fields.time, delimited);
  at = writeVarint(bytes, at, plan.timeBytes);
  bytes[at++] = tag(1, varint);
  at = writeVarint(bytes, at, plan.seconds);
  if (plan.nanos !== 0) {
    bytes[at++] = tag(2, varint);
    at = writeVarint(bytes, at, plan.nanos);
  }
  if (event !== undefined) at = writeText(bytes, at, fields.event, event, Buffer.byteLength(event));
  at = writeText(bytes, at, fields.type, message.type, plan.typeBytes);
  if (payload.length > 0) {
    bytes[at++] = tag(fields.data, delimited);
    at = writeVarint(bytes, at, payload.length);
    bytes.set(payload, at);
    at += payload.length;
  }
  if (headers !== undefined) {
    for (const [name, value] of headers) {
      bytes[at++] = tag(fields.headers, delimited);
      at = writeVarint(bytes, at, entryBytes(name, value));
      at = writeText(bytes, at, 1, name, Buffer.byteLength(name));
      at = writeText(bytes, at, 2, value, Buffer.byteLength(value));
    }
  }
  if (message.from !== undefined)
    at = writeText(bytes, at, fields.from, message.from, Buffer.byteLength(message.from));
  return at;
}

/** An entry of a map is a message of key and value. */
function entryBytes(name: string, value: string): number {
  return lengthOf(Buffer.byteLength(name)) + lengthOf(Buffer.byteLength(value));
}

/** Tag (all ours take one byte), length and content. */
function lengthOf(contentBytes: number): number {
  return 1 + varintBytes(contentBytes) + contentBytes;
}

function writeText(bytes: Buffer, from: number, field: number, text: string, textBytes: number): number {
  bytes[from] = tag(field, delimited);
  const at = writeVarint(bytes, from + 1, textBytes);
  return at + bytes.write(text, at);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes += 1;
  return bytes;
}

/** Also numbers beyond 32 bits, because offsets and seconds can be that large. */
function writeVarint(bytes: Buffer, from: number, value: number): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest % 0x80) | 0x80;
    rest = Math.floor(rest / 0x80);
  }
  bytes[at++] = rest;
  return at;
}

function bigVarintBytes(value: bigint): number {
  let bytes = 1;
  for (let rest = value >> 7n; rest > 0n; rest >>= 7n) bytes += 1;
  return bytes;
}

function writeBigVarint(bytes: Buffer, from: number, value: bigint): number {
  let at = from;
  let rest = value;
  while (rest >= 0x80n) {
    bytes[at++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  bytes[at++] = Number(rest);
  return at;
}
