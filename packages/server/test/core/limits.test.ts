import { describe, expect, it } from 'vitest';
import { checkLimits, defaultLimits } from '../../src/core/limits.ts';

describe('limits', () => {
  it('has defaults that agree with each other', () => {
    expect(checkLimits(defaultLimits)).toBe(defaultLimits);
    // What a peer that stops reading can hold: RELIABILITY G10 promises 64 KiB.
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
});
