import { crc32 } from 'node:zlib';
import type { EpochStart } from '../epoch-history.ts';
import type { SeqRow } from '../log-view.ts';

/** A place as rows keep it; the epoch follows from the seq. */
export interface Mark {
  readonly seq: number;
  readonly offset: number;
  readonly tag: string;
}

/** The end of a life. */
export interface EndedLife extends Mark {
  readonly no: number;
}

/** The state of one channel at one commit. Never changed: the next commit makes another. */
export interface ChannelState {
  readonly name: string;
  /** The number of this life. */
  readonly no: number;
  readonly epoch: string;
  /** The newest message; offset 0 before the first. */
  readonly newest: Mark;
  /** The last message that was trimmed in this life. */
  readonly trimmed: Mark | undefined;
  /** Payload bytes kept. */
  readonly bytes: number;
  /** Publish ids remembered. */
  readonly publishIds: number;
  /** Where earlier lives ended, the newest last; this one is among them when `isLive` is false. */
  readonly ended: readonly EndedLife[];
  /** Where lives ended that are not in `ended` any more; 0 when there are none. */
  readonly endedBeforeSeq: number;
  readonly isLive: boolean;
}

/** Where a publish id was stored, and for which content. */
export interface PublishRow extends Mark {
  readonly fingerprint: string;
  readonly id: string;
  readonly timeMs: number;
}

/** Publish ids of one commit. */
export interface PublishLogRow {
  readonly atMs: number;
  readonly ids: readonly string[];
}

const crcBytes = 4;
const markBytes = 20;
const endedLifeBytes = 4 + markBytes;
const segmentEntryBytes = 18;
const epochBytes = 6;
const channelBytes = 4 + epochBytes + 1 + 2 * markBytes + 6 + 4 + 6;
const fingerprintBytes = 16;
const noLives: readonly EndedLife[] = [];
const noMark: Mark = { seq: 0, offset: 0, tag: '0000000000000000' };

/** The row with its CRC in front, bound to its key so that no row can replace another. */
export function seal(key: Uint8Array, content: Buffer): Buffer {
  const sealed = Buffer.alloc(crcBytes + content.length);
  sealed.set(content, crcBytes);
  sealed.writeUInt32LE(crc32(content, crc32(key)), 0);
  return sealed;
}

/** The content of a sealed row; `undefined` when it is damaged. */
export function unseal(key: Uint8Array, sealed: Buffer): Buffer | undefined {
  if (sealed.length < crcBytes) return undefined;
  const content = sealed.subarray(crcBytes);
  return crc32(content, crc32(key)) === sealed.readUInt32LE(0) ? content : undefined;
}

export function encodeChannel(state: ChannelState): Buffer {
  const { ended } = state;
  const bytes = Buffer.alloc(channelBytes + ended.length * endedLifeBytes);
  let at = bytes.writeUInt32LE(state.no, 0);
  at += bytes.write(state.epoch, at, 'latin1');
  at = bytes.writeUInt8((state.isLive ? 1 : 0) | (state.trimmed ? 2 : 0), at);
  at = writeMark(bytes, at, state.newest);
  at = writeMark(bytes, at, state.trimmed ?? noMark);
  at = bytes.writeUIntLE(state.bytes, at, 6);
  at = bytes.writeUInt32LE(state.publishIds, at);
  at = bytes.writeUIntLE(state.endedBeforeSeq, at, 6);
  for (const life of ended) at = writeMark(bytes, bytes.writeUInt32LE(life.no, at), life);
  return bytes;
}

export function decodeChannel(name: string, bytes: Buffer): ChannelState {
  const flags = bytes.readUInt8(10);
  const newestAt = 11;
  const numbersAt = newestAt + 2 * markBytes;
  const ended: EndedLife[] = [];
  for (let at = channelBytes; at < bytes.length; at += endedLifeBytes) {
    ended.push({ ...readMark(bytes, at + 4), no: bytes.readUInt32LE(at) });
  }
  return {
    name,
    no: bytes.readUInt32LE(0),
    epoch: bytes.toString('latin1', 4, 4 + epochBytes),
    newest: readMark(bytes, newestAt),
    trimmed: (flags & 2) === 0 ? undefined : readMark(bytes, newestAt + markBytes),
    bytes: bytes.readUIntLE(numbersAt, 6),
    publishIds: bytes.readUInt32LE(numbersAt + 6),
    endedBeforeSeq: bytes.readUIntLE(numbersAt + 10, 6),
    // One array for the many that have none.
    ended: ended.length === 0 ? noLives : ended,
    isLive: (flags & 1) !== 0,
  };
}

/** What each seq of a commit was, from its first seq on. */
export function encodeSegment(rows: readonly SeqRow[]): Buffer {
  const bytes = Buffer.alloc(rows.length * segmentEntryBytes);
  let at = 0;
  for (const { channelNo, offset, tag } of rows) {
    bytes.writeUInt32LE(channelNo, at);
    bytes.writeUIntLE(offset, at + 4, 6);
    bytes.write(tag, at + 10, 'hex');
    at += segmentEntryBytes;
  }
  return bytes;
}

/** Rows in a segment; its last seq is the first one plus this minus one. */
export function segmentLength(segment: Buffer): number {
  return segment.length / segmentEntryBytes;
}

export function segmentChannelNo(segment: Buffer, index: number): number {
  return segment.readUInt32LE(index * segmentEntryBytes);
}

export function segmentOffset(segment: Buffer, index: number): number {
  return segment.readUIntLE(index * segmentEntryBytes + 4, 6);
}

export function segmentTag(segment: Buffer, index: number): string {
  const at = index * segmentEntryBytes + 10;
  return segment.toString('hex', at, at + 8);
}

export function encodePublish(row: PublishRow): Buffer {
  const bytes = Buffer.alloc(fingerprintBytes + markBytes + 8 + Buffer.byteLength(row.id));
  bytes.write(row.fingerprint, 0, 'hex');
  let at = writeMark(bytes, fingerprintBytes, row);
  at = bytes.writeDoubleLE(row.timeMs, at);
  bytes.write(row.id, at);
  return bytes;
}

export function decodePublish(bytes: Buffer): PublishRow {
  const timeAt = fingerprintBytes + markBytes;
  return {
    fingerprint: bytes.toString('hex', 0, fingerprintBytes),
    ...readMark(bytes, fingerprintBytes),
    timeMs: bytes.readDoubleLE(timeAt),
    id: bytes.toString('utf8', timeAt + 8, bytes.length),
  };
}

export function encodePublishLog({ atMs, ids }: PublishLogRow): Buffer {
  const parts = ids.map((id) => {
    const text = Buffer.from(id);
    const part = Buffer.alloc(2 + text.length);
    part.writeUInt16LE(text.length, 0);
    part.set(text, 2);
    return part;
  });
  const time = Buffer.alloc(8);
  time.writeDoubleLE(atMs, 0);
  return Buffer.concat([time, ...parts]);
}

export function decodePublishLog(bytes: Buffer): PublishLogRow {
  const ids: string[] = [];
  for (let at = 8; at < bytes.length;) {
    const end = at + 2 + bytes.readUInt16LE(at);
    ids.push(bytes.toString('utf8', at + 2, end));
    at = end;
  }
  return { atMs: bytes.readDoubleLE(0), ids };
}

export function encodeEpochs(starts: readonly EpochStart[]): Buffer {
  const bytes = Buffer.alloc(starts.length * (epochBytes + 6));
  let at = 0;
  for (const { epoch, firstSeq } of starts) {
    at += bytes.write(epoch, at, 'latin1');
    at = bytes.writeUIntLE(firstSeq, at, 6);
  }
  return bytes;
}

export function decodeEpochs(bytes: Buffer): readonly EpochStart[] {
  const starts: EpochStart[] = [];
  for (let at = 0; at < bytes.length; at += epochBytes + 6) {
    starts.push({
      epoch: bytes.toString('latin1', at, at + epochBytes),
      firstSeq: bytes.readUIntLE(at + epochBytes, 6),
    });
  }
  return starts;
}

function writeMark(bytes: Buffer, at: number, mark: Mark): number {
  bytes.writeUIntLE(mark.seq, at, 6);
  bytes.writeUIntLE(mark.offset, at + 6, 6);
  bytes.write(mark.tag, at + 12, 'hex');
  return at + markBytes;
}

function readMark(bytes: Buffer, at: number): Mark {
  return {
    seq: bytes.readUIntLE(at, 6),
    offset: bytes.readUIntLE(at + 6, 6),
    tag: bytes.toString('hex', at + 12, at + markBytes),
  };
}
