import { describe, expect, it, test } from 'vitest';
import {
  checkLimits,
  defaultLimits,
  limitOwners,
  limitRelations,
  type AllLimits,
} from '../../src/config/limits.ts';

describe('limits', () => {
  it('has defaults that agree with each other', () => {
    expect(checkLimits(defaultLimits)).toBe(defaultLimits);
    // The bytes that a peer that stops reading can hold: RELIABILITY G10 promises 64 KiB.
    expect(defaultLimits.outboundHeldFromBytes + defaultLimits.batchBytesMax).toBeLessThanOrEqual(64 * 1024);
  });

  it.each([
    { payloadBytesMax: 2 ** 21 },
    { pageMessagesDefault: 2_000 },
    { outboundBytesMax: 1 },
    { waitMsMax: Number.NaN },
    { waitMsMax: -1 },
  ])('refuses %j', (change) => {
    expect(() => checkLimits({ ...defaultLimits, ...change })).toThrow(RangeError);
  });

  test('each has one owner, and the first of each owner has a sentence', () => {
    const names = limitOwners.flatMap((owner) => Object.keys(owner));
    expect(names).toHaveLength(new Set(names).size);
    expect(Object.keys(defaultLimits).sort()).toEqual([...names].sort());
    for (const owner of limitOwners) expect(Object.values(owner)[0]?.about).toBeDefined();
  });

  test('every relation between bounds is refused by its own rule as soon as it is broken, and no sooner', () => {
    const { headerBytesMax, outboundHeldFromBytes, batchBytesMax } = defaultLimits;
    const broken: readonly (readonly [good: Partial<AllLimits>, bad: Partial<AllLimits>])[] = [
      [
        { pageMessagesDefault: 7, pageMessagesMax: 7 },
        { pageMessagesDefault: 8, pageMessagesMax: 7 },
      ],
      [{ stompLineBytesMax: headerBytesMax - 1 }, { stompLineBytesMax: headerBytesMax }],
      [
        { outboundBytesMax: outboundHeldFromBytes + batchBytesMax },
        { outboundBytesMax: outboundHeldFromBytes + batchBytesMax - 1 },
      ],
    ];
    expect(broken).toHaveLength(limitRelations.length);
    for (const [at, [good, bad]] of broken.entries()) {
      checkLimits({ ...defaultLimits, ...good });
      expect(() => checkLimits({ ...defaultLimits, ...bad })).toThrow(limitRelations[at]!.rule);
    }
  });
});
