/**
 * Keys of the tables, so that the order of their bytes is the order of what they name. All pure.
 *
 *     blocks        channelNo u32 · firstSeq u64       records of one channel from one commit
 *     segments      firstSeq u64                       what each seq of one commit was
 *     numbers       channelNo u32                      name of the channel that has, or had, this number
 *     channels      name as UTF-16BE                   state of a channel, or its tombstone
 *     publish ids   channelNo u32 · id as UTF-8        where it was stored
 *     publish log   channelNo u32 · firstSeq u64       ids of one commit, to forget the oldest
 *     retained      name as UTF-16BE                   a record
 *     records       table · 00 · key, both UTF-8       a row beside the log
 */

/** Keys and records have 48 bits for a seq: at a million a second, nine years. */
export const seqMax = 2 ** 48 - 1;
const noBytes = 4;
const seqBytes = 8;

const channelKeyBytes = noBytes + seqBytes;

export function seqKey(seq: number): Buffer {
  const key = Buffer.alloc(seqBytes);
  writeSeq(key, seq, 0);
  return key;
}

export function readSeqKey(key: Uint8Array): number {
  return readSeq(key, 0);
}

/** The key of a row of one channel that begins at `seq`. */
export function channelSeqKey(channelNo: number, seq: number): Buffer {
  const key = Buffer.alloc(channelKeyBytes);
  key.writeUInt32BE(channelNo, 0);
  writeSeq(key, seq, noBytes);
  return key;
}

/** The seq of a `channelSeqKey`. */
export function seqOfChannelKey(key: Uint8Array): number {
  return readSeq(key, noBytes);
}

export function numberKey(channelNo: number): Buffer {
  const key = Buffer.alloc(noBytes);
  key.writeUInt32BE(channelNo, 0);
  return key;
}

export function numberOfKey(key: Uint8Array): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUInt32BE(0);
}

export function publishIdKey(channelNo: number, id: string): Buffer {
  const key = Buffer.alloc(noBytes + Buffer.byteLength(id));
  key.writeUInt32BE(channelNo, 0);
  key.write(id, noBytes);
  return key;
}

/** Bytes in code-unit order: channels are listed as JavaScript compares their names. */
export function nameKey(name: string): Buffer {
  return Buffer.from(name, 'utf16le').swap16();
}

export function nameOfKey(key: Uint8Array): string {
  return Buffer.from(key).swap16().toString('utf16le');
}

/** The first key after all that begin with `prefix`; `undefined` when no key can follow, for a prefix of ff. */
export function endOfPrefix(prefix: Buffer): Buffer | undefined {
  for (let length = prefix.length; length > 0; length -= 1) {
    if (prefix[length - 1] === 0xff) continue;
    const end = Buffer.from(prefix.subarray(0, length));
    end[length - 1]! += 1;
    return end;
  }
  return undefined;
}

/** `table` must not contain NUL, or one table's rows could lie in another. */
export function recordKey(table: string, key: string): Buffer {
  return Buffer.from(`${table}\0${key}`);
}

export function keyOfRecord(table: string, key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString(
    'utf8',
    Buffer.byteLength(table) + 1,
  );
}

function writeSeq(key: Buffer, seq: number, at: number): void {
  key.writeUIntBE(seq, at + 2, 6);
}

function readSeq(key: Uint8Array, at: number): number {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).readUIntBE(at + 2, 6);
}
