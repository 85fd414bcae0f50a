import { crc32 } from 'node:zlib';
import { Message } from '../../core/log/message.ts';
import type { Draft, Place } from '../../core/log/message.ts';

/**
 * One message as bytes, little-endian:
 *
 *     0  u32  bytes of the whole record
 *     4  u32  CRC-32 over (channel, its epoch, store epoch), then everything from byte 8 on
 *     8  u48  seq          14  u48  offset       20  8 bytes  tag
 *    28  f64  time         36  f64  expires, or 0
 *    44  u8   flags: 1 event, 2 headers, 4 from, 8 retain, 16 expires, 32 native
 *    45  u8   bytes of id (a ULID is 26)  46  u16  bytes of type
 *    48  u32  bytes of payload
 *    52  id · type · [u16 event] · [u16 from] · [u16 count, (u16 name, u16 value)…] ·
 *             [u16 native] · payload
 *
 * Channel and epochs are not in it: its key and the history say them, and the CRC ties the record to them.
 */
const headBytes = 52;
const flag = { event: 1, headers: 2, from: 4, retain: 8, expires: 16, native: 32 } as const;
const tagBytes = 8;

export interface RecordHead {
  readonly seq: number;
  readonly offset: number;
  readonly tag: string;
  readonly payloadBytes: number;
  readonly timeMs: number;
}

/** Where the CRC of a channel's records of one epoch starts. */
export function crcSeed(channel: string, channelEpoch: string, epoch: string): number {
  return crc32(`${channel}\n${channelEpoch}\n${epoch}`);
}

export function recordBytes(draft: Draft): number {
  let bytes = headBytes + Buffer.byteLength(draft.id) + Buffer.byteLength(draft.type) + draft.payload.length;
  if (draft.event !== undefined) bytes += 2 + Buffer.byteLength(draft.event);
  if (draft.from !== undefined) bytes += 2 + Buffer.byteLength(draft.from);
  if (draft.headers !== undefined && draft.headers.size > 0) {
    bytes += 2;
    for (const [name, value] of draft.headers)
      bytes += 4 + Buffer.byteLength(name) + Buffer.byteLength(value);
  }
  if (draft.native !== undefined) bytes += 2 + draft.native.length;
  return bytes;
}

/** Writes the record at `at` of `bytes`, which has room for it, and returns the place after it. */
export function writeRecord(bytes: Buffer, at: number, message: Message, seed: number): number {
  const { event, headers, from, expiresAtMs, native } = message;
  const hasHeaders = headers !== undefined && headers.size > 0;
  bytes.writeUIntLE(message.seq, at + 8, 6);
  bytes.writeUIntLE(message.offset, at + 14, 6);
  bytes.write(message.tag, at + 20, 'hex');
  bytes.writeDoubleLE(message.timeMs, at + 28);
  bytes.writeDoubleLE(expiresAtMs ?? 0, at + 36);
  bytes[at + 44] =
    (event === undefined ? 0 : flag.event) |
    (hasHeaders ? flag.headers : 0) |
    (from === undefined ? 0 : flag.from) |
    (message.retain ? flag.retain : 0) |
    (expiresAtMs === undefined ? 0 : flag.expires) |
    (native === undefined ? 0 : flag.native);
  let end = at + headBytes;
  const idBytes = bytes.write(message.id, end);
  bytes[at + 45] = idBytes;
  end += idBytes;
  const typeBytes = bytes.write(message.type, end);
  bytes.writeUInt16LE(typeBytes, at + 46);
  end += typeBytes;
  if (event !== undefined) end = writeText(bytes, end, event);
  if (from !== undefined) end = writeText(bytes, end, from);
  if (hasHeaders) {
    end = bytes.writeUInt16LE(headers.size, end);
    for (const [name, value] of headers) end = writeText(bytes, writeText(bytes, end, name), value);
  }
  if (native !== undefined) {
    end = bytes.writeUInt16LE(native.length, end);
    bytes.set(native, end);
    end += native.length;
  }
  bytes.writeUInt32LE(message.payload.length, at + 48);
  bytes.set(message.payload, end);
  end += message.payload.length;
  bytes.writeUInt32LE(end - at, at);
  bytes.writeUInt32LE(crc32(bytes.subarray(at + 8, end), seed), at + 4);
  return end;
}

/** Where the record at `at` ends, when its CRC holds; `undefined` for anything damaged. */
export function checkRecord(bytes: Buffer, at: number, seed: number): number | undefined {
  if (at + headBytes > bytes.length) return undefined;
  const end = at + bytes.readUInt32LE(at);
  if (end < at + headBytes || end > bytes.length) return undefined;
  return crc32(bytes.subarray(at + 8, end), seed) === bytes.readUInt32LE(at + 4) ? end : undefined;
}

/** The seq of the record at `at`, for walking; believe it only after `checkRecord`. */
export function seqOfRecord(bytes: Buffer, at: number): number {
  return bytes.readUIntLE(at + 8, 6);
}

export function readHead(bytes: Buffer, at: number): RecordHead {
  return {
    seq: bytes.readUIntLE(at + 8, 6),
    offset: bytes.readUIntLE(at + 14, 6),
    tag: bytes.toString('hex', at + 20, at + 20 + tagBytes),
    timeMs: bytes.readDoubleLE(at + 28),
    payloadBytes: bytes.readUInt32LE(at + 48),
  };
}

/** The message of a record that was checked. Its payload shares the memory of `bytes`. */
export function readRecord(bytes: Buffer, at: number, end: number, channel: string, epoch: string): Message {
  const flags = bytes[at + 44]!;
  const payloadAt = end - bytes.readUInt32LE(at + 48);
  let text = at + headBytes;
  const id = bytes.toString('utf8', text, (text += bytes[at + 45]!));
  const type = readType(bytes, text, (text += bytes.readUInt16LE(at + 46)));
  let event: string | undefined;
  let from: string | undefined;
  let headers: Map<string, string> | undefined;
  const next = (): string => {
    const start = text + 2;
    text = start + bytes.readUInt16LE(text);
    return bytes.toString('utf8', start, text);
  };
  if ((flags & flag.event) !== 0) event = next();
  if ((flags & flag.from) !== 0) from = next();
  if ((flags & flag.headers) !== 0) {
    headers = new Map();
    const count = bytes.readUInt16LE(text);
    text += 2;
    for (let index = 0; index < count; index += 1) headers.set(next(), next());
  }
  const native =
    (flags & flag.native) === 0 ? undefined : bytes.subarray(text + 2, text + 2 + bytes.readUInt16LE(text));
  const { seq, offset, tag, timeMs } = readHead(bytes, at);
  const place: Place = { epoch, seq, offset, tag };
  return new Message(channel, place, {
    id,
    timeMs,
    type,
    payload: bytes.subarray(payloadAt, end),
    event,
    from,
    headers,
    retain: (flags & flag.retain) !== 0,
    expiresAtMs: (flags & flag.expires) === 0 ? undefined : bytes.readDoubleLE(at + 36),
    native,
  });
}

function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2);
  bytes.writeUInt16LE(length, at);
  return at + 2 + length;
}

let lastTypeBytes = Buffer.alloc(0);
let lastType = '';

/** A channel's messages mostly have one type, and comparing bytes is cheaper than decoding them. */
function readType(bytes: Buffer, start: number, end: number): string {
  if (
    lastTypeBytes.length === end - start &&
    bytes.compare(lastTypeBytes, 0, lastTypeBytes.length, start, end) === 0
  ) {
    return lastType;
  }
  lastType = bytes.toString('utf8', start, end);
  lastTypeBytes = Buffer.from(bytes.subarray(start, end));
  return lastType;
}
