import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCursor } from '@everywire/protocol';
import { defaultLimits } from '../../../src/config/limits.ts';
import { groupKind, readEarlierGroup } from '../../../src/core/groups/kind.ts';

const seq = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const cursor = seq.map((at) => formatCursor({ epoch: 'epoch1', seq: at, tag: '0123456789abcdef' }));
const read = (fields: object) => readEarlierGroup(Buffer.from(JSON.stringify(fields)), 'workers/jobs/**');

describe('the row of a group that version 0.1 wrote', () => {
  it('is read at every position', () => {
    fc.assert(
      fc.property(
        fc.record({
          cursor,
          ackedAhead: fc.array(cursor),
          deliveredThroughSeq: seq,
          hasMembers: fc.boolean(),
          isKept: fc.boolean(),
        }),
        ({ hasMembers, isKept, ...stored }) => {
          const { cursor: at, ackedAhead, deliveredThroughSeq } = stored;
          const progress = {
            cursor: at,
            acksAboveWatermark: ackedAhead,
            deliveredWatermark: deliveredThroughSeq,
          };
          expect(read({ version: 1, ...stored, hasMembers, isKept })).toMatchObject({
            presence: hasMembers ? 'open' : 'drained',
            subscriptions: [{ id: '', filter: 'jobs/**', progress }],
            state: { isKept },
          });
        },
      ),
    );
  });

  it('is missing where a field is missing or of another type', () => {
    const sound = {
      version: 1,
      cursor: '1epoch1.0.0000000000000000',
      ackedAhead: [],
      deliveredThroughSeq: 0,
      hasMembers: true,
      isKept: false,
    };
    expect(read(sound)).toBeDefined();
    for (const change of [
      { version: 2 },
      { cursor: 'x' },
      { ackedAhead: ['x'] },
      { ackedAhead: 1 },
      { deliveredThroughSeq: '1' },
      { hasMembers: 1 },
      { isKept: null },
    ]) {
      expect(read({ ...sound, ...change })).toBeUndefined();
    }
  });
});

it('reads no state but that of a group', () => {
  const kind = groupKind(defaultLimits);
  expect(kind.readState({ isKept: true, more: 1 })).toEqual({ isKept: true });
  for (const other of [null, 1, 'x', {}, { isKept: 1 }]) expect(kind.readState(other)).toBeUndefined();
});
