import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Message } from '../../../src/core/log/message.ts';
import {
  channelSeqKey,
  endOfPrefix,
  keyOfRecord,
  nameKey,
  nameOfKey,
  numberKey,
  numberOfKey,
  publishIdKey,
  readSeqKey,
  recordKey,
  seqKey,
  seqMax,
  seqOfChannelKey,
} from '../../../src/stores/lmdb/keys.ts';
import {
  checkRecord,
  crcSeed,
  readHead,
  readRecord,
  recordBytes,
  writeRecord,
} from '../../../src/stores/lmdb/record.ts';
import * as rows from '../../../src/stores/lmdb/rows.ts';

const seq = fc.integer({ min: 0, max: seqMax });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const text = fc.string({ unit: 'grapheme', maxLength: 60 });
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
const hex = (digits: number) =>
  fc.string({
    unit: fc.constantFrom(...Array.from({ length: 16 }, (_, digit) => digit.toString(16))),
    minLength: digits,
    maxLength: digits,
  });
const tag = hex(16);
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));

describe('keys', () => {
  it('come back, in an order that is that of what they name', () => {
    fc.assert(
      fc.property(u32, seq, u32, seq, (noA, seqA, noB, seqB) => {
        expect(readSeqKey(seqKey(seqA))).toBe(seqA);
        expect(seqOfChannelKey(channelSeqKey(noA, seqA))).toBe(seqA);
        expect(numberOfKey(numberKey(noA))).toBe(noA);
        expect(Buffer.compare(seqKey(seqA), seqKey(seqB))).toBe(Math.sign(seqA - seqB));
        expect(Buffer.compare(channelSeqKey(noA, seqA), channelSeqKey(noB, seqB))).toBe(
          Math.sign(noA - noB) || Math.sign(seqA - seqB),
        );
      }),
    );
  });

  it('of channels are ordered as JavaScript compares names', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(nameOfKey(nameKey(a))).toBe(a);
        expect(Buffer.compare(nameKey(a), nameKey(b))).toBe(a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  it('of records and publish ids keep tables and channels apart', () => {
    fc.assert(
      fc.property(name, name, (table, key) => {
        fc.pre(!table.includes('\0'));
        expect(keyOfRecord(table, recordKey(table, key))).toBe(key);
        expect(publishIdKey(1, key).equals(publishIdKey(2, key))).toBe(false);
      }),
    );
  });

  it('end of a prefix is above everything that begins with it', () => {
    fc.assert(
      fc.property(bytes, bytes, (prefix, rest) => {
        const end = endOfPrefix(prefix);
        if (end === undefined) {
          expect(prefix.every((byte) => byte === 255)).toBe(true);
          return;
        }
        expect(Buffer.compare(Buffer.concat([prefix, rest]), end)).toBe(-1);
        expect(Buffer.compare(prefix, end)).toBe(-1);
      }),
    );
  });
});

const message = fc
  .record({
    seq: fc.integer({ min: 1, max: seqMax }),
    offset: fc.integer({ min: 1, max: seqMax }),
    tag,
    id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }),
    timeMs: fc.integer({ min: 0, max: 4e12 }),
    type: text,
    payload: bytes,
    event: fc.option(text, { nil: undefined }),
    from: fc.option(text, { nil: undefined }),
    headers: fc.option(fc.dictionary(name, text, { minKeys: 1, maxKeys: 5 }), { nil: undefined }),
    retain: fc.boolean(),
    expiresAtMs: fc.option(fc.integer({ min: 0, max: 4e12 }), { nil: undefined }),
  })
  .map(({ seq, offset, tag, headers, ...draft }) => {
    const map = headers && new Map(Object.entries(headers));
    return new Message('a/channel', { epoch: 'abc123', seq, offset, tag }, { ...draft, headers: map });
  });

describe('records', () => {
  const seed = crcSeed('a/channel', 'life01', 'abc123');

  it('come back as they were, in exactly the bytes that were announced', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 5 }), (messages) => {
        const sizes = messages.map((each) => recordBytes(each));
        const block = Buffer.alloc(sizes.reduce((sum, size) => sum + size, 0));
        let at = 0;
        for (const each of messages) at = writeRecord(block, at, each, seed);
        expect(at).toBe(block.length);
        at = 0;
        for (const [index, each] of messages.entries()) {
          const end = checkRecord(block, at, seed)!;
          expect(end - at).toBe(sizes[index]);
          expect(readRecord(block, at, end, 'a/channel', 'abc123')).toEqual(each);
          expect(readHead(block, at)).toMatchObject({ seq: each.seq, payloadBytes: each.payload.length });
          at = end;
        }
      }),
    );
  });

  it('with any bit flipped, cut anywhere, or of another channel, life or epoch are refused', () => {
    fc.assert(
      fc.property(message, fc.nat(), (each, somewhere) => {
        const record = Buffer.alloc(recordBytes(each));
        writeRecord(record, 0, each, seed);
        const bit = somewhere % (record.length * 8);
        record[bit >> 3]! ^= 1 << (bit & 7);
        expect(checkRecord(record, 0, seed)).toBeUndefined();
        record[bit >> 3]! ^= 1 << (bit & 7);
        expect(checkRecord(record, 0, seed)).toBe(record.length);
        expect(checkRecord(record.subarray(0, somewhere % record.length), 0, seed)).toBeUndefined();
        for (const [channel, life, epoch] of [
          ['b', 'life01', 'abc123'],
          ['a/channel', 'life02', 'abc123'],
          ['a/channel', 'life01', 'abc124'],
        ] as const) {
          expect(checkRecord(record, 0, crcSeed(channel, life, epoch))).toBeUndefined();
        }
      }),
    );
  });
});

describe('rows', () => {
  const mark = fc.record({ seq, offset: seq, tag });

  it('of channels come back', () => {
    const state = fc.record({
      name: fc.constant('a'),
      no: u32,
      epoch: hex(6),
      newest: mark,
      trimmed: fc.option(mark, { nil: undefined }),
      bytes: seq,
      publishIds: u32,
      ended: fc.array(fc.record({ seq, offset: seq, tag, no: u32 }), { maxLength: 16 }),
      endedBeforeSeq: seq,
      isLive: fc.boolean(),
    });
    fc.assert(
      fc.property(state, (each) => {
        expect(rows.decodeChannel('a', rows.encodeChannel(each))).toEqual(each);
      }),
    );
  });

  it('of segments come back', () => {
    const row = fc.record({ channelNo: u32, offset: seq, tag });
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 20 }), (each) => {
        const segment = rows.encodeSegment(each);
        expect(rows.segmentLength(segment)).toBe(each.length);
        const back = each.map((_, index) => ({
          channelNo: rows.segmentChannelNo(segment, index),
          offset: rows.segmentOffset(segment, index),
          tag: rows.segmentTag(segment, index),
        }));
        expect(back).toEqual(each);
      }),
    );
  });

  it('of publish ids, of their log and of the epochs come back', () => {
    const publish = fc.record({ seq, offset: seq, tag, fingerprint: hex(32), id: name, timeMs: seq });
    const log = fc.record({ atMs: seq, ids: fc.array(name, { maxLength: 5 }) });
    const starts = fc.array(fc.record({ epoch: hex(6), firstSeq: seq }), { maxLength: 5 });
    fc.assert(
      fc.property(publish, log, starts, (one, two, three) => {
        expect(rows.decodePublish(rows.encodePublish(one))).toEqual(one);
        expect(rows.decodePublishLog(rows.encodePublishLog(two))).toEqual(two);
        expect(rows.decodeEpochs(rows.encodeEpochs(three))).toEqual(three);
      }),
    );
  });

  it('that are sealed and damaged, or are under another key, are refused', () => {
    fc.assert(
      fc.property(bytes, bytes, fc.nat(), (key, content, somewhere) => {
        const sealed = rows.seal(key, content);
        expect(rows.unseal(key, sealed)?.equals(content)).toBe(true);
        expect(rows.unseal(Buffer.concat([key, Buffer.alloc(1)]), sealed)).toBeUndefined();
        sealed[(somewhere >> 3) % sealed.length]! ^= 1 << (somewhere & 7);
        expect(rows.unseal(key, sealed)).toBeUndefined();
      }),
    );
  });
});
