import { describe, expect, it } from 'vitest';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { EpochHistory, newEpoch } from '../../src/stores/epoch-history.ts';

describe('EpochHistory', () => {
  // `empty0` was opened and closed without an append.
  const history = new EpochHistory([
    { epoch: 'first0', firstSeq: 1 },
    { epoch: 'empty0', firstSeq: 11 },
    { epoch: 'second', firstSeq: 11 },
  ]);
  const judge = (epoch: string, seq: number) => history.judge({ epoch, seq, tag: '0'.repeat(16) }, 20);

  it('knows the epoch of each seq', () => {
    expect([0, 1, 10, 11, 20].map((seq) => history.epochOf(seq))).toEqual([
      'first0',
      'first0',
      'first0',
      'second',
      'second',
    ]);
  });

  it('accepts positions within an epoch, and its start', () => {
    expect([judge('first0', 0), judge('first0', 10), judge('second', 20)]).toEqual(Array(3).fill('possible'));
    expect([judge('second', 10), judge('empty0', 10)]).toEqual(['possible', 'possible']);
  });

  it('distinguishes positions beyond the end of an epoch from unknown ones', () => {
    expect([judge('first0', 11), judge('empty0', 11), judge('second', 21)]).toEqual(Array(3).fill('beyond'));
    expect([judge('second', 9), judge('nobody', 5)]).toEqual(['unknown', 'unknown']);
    expect(history.lastSeqOf('first0', 20)).toBe(10);
  });
});

describe('newEpoch', () => {
  it('is six digits of base 36, and not one that is taken', () => {
    const random = createSystemRandom();
    const taken = new Set<string>();
    for (let count = 0; count < 1_000; count += 1) {
      const epoch = newEpoch(random, (candidate) => taken.has(candidate));
      expect(epoch).toMatch(/^[0-9a-z]{6}$/);
      taken.add(epoch);
    }
    expect(taken.size).toBe(1_000);
    let asked = 0;
    newEpoch(random, () => (asked += 1) < 3);
    expect(asked).toBe(3);
  });
});
