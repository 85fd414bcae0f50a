import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCursor } from '@everywire/protocol';
import { decodeGroupRecord, encodeGroupRecord } from '../../../src/core/groups/record.ts';

const seq = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const cursor = seq.map((at) => formatCursor({ epoch: 'epoch1', seq: at, tag: '0123456789abcdef' }));

describe('the record of a group', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(
        fc.record({
          progress: fc.record({ cursor, ackedAhead: fc.array(cursor), deliveredThroughSeq: seq }),
          hasMembers: fc.boolean(),
          isKept: fc.boolean(),
        }),
        (record) => {
          expect(decodeGroupRecord(encodeGroupRecord(record))).toEqual(record);
        },
      ),
    );
  });

  it('is none in any other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(decodeGroupRecord(Buffer.from(bytes))).toBeUndefined();
      }),
    );
    const sound = JSON.parse(
      encodeGroupRecord({
        progress: { cursor: '1epoch1.0.0000000000000000', ackedAhead: [], deliveredThroughSeq: 0 },
        hasMembers: true,
        isKept: false,
      }).toString(),
    ) as object;
    for (const change of [
      { version: 2 },
      { cursor: 'x' },
      { ackedAhead: ['x'] },
      { ackedAhead: 1 },
      { deliveredThroughSeq: '1' },
      { hasMembers: 1 },
      { isKept: null },
    ]) {
      expect(decodeGroupRecord(Buffer.from(JSON.stringify({ ...sound, ...change })))).toBeUndefined();
    }
    expect(decodeGroupRecord(Buffer.from('null'))).toBeUndefined();
  });
});
