import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bucket, Buckets } from '../../../src/core/publish/rates.ts';

const rate = { perSecond: 10, burst: 5 };

describe('a bucket', () => {
  it('grants its burst at once, then its rate', () => {
    const bucket = new Bucket(rate, 0);
    for (let taken = 0; taken < 5; taken += 1) expect(bucket.take(1, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(100);
    expect(bucket.take(1, 99)).toBeLessThanOrEqual(2);
    expect(bucket.take(1, 99)).toBeGreaterThan(0);
    expect(bucket.take(1, 100)).toBe(0);
    expect(bucket.take(1, 100)).toBe(100);
  });

  it('grants a batch larger than the burst, and is paid back first', () => {
    const bucket = new Bucket(rate, 0);
    expect(bucket.take(25, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(2_100);
    expect(bucket.take(1, 2_099)).toBeGreaterThan(0);
    expect(bucket.take(1, 2_100)).toBe(0);
  });

  it('never grants more than burst + rate × time, plus one batch, and is never empty for good', () => {
    const step = fc.record({ passMs: fc.nat(400), count: fc.integer({ min: 1, max: 20 }) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const bucket = new Bucket(rate, 0);
        let nowMs = 0;
        let granted = 0;
        let largest = 0;
        for (const { passMs, count } of steps) {
          nowMs += passMs;
          const waitMs = bucket.take(count, nowMs);
          if (waitMs === 0) granted += count;
          largest = Math.max(largest, count);
          expect(granted).toBeLessThanOrEqual(rate.burst + (nowMs / 1_000) * rate.perSecond + largest);
          if (waitMs > 0) {
            nowMs += waitMs;
            expect(bucket.take(1, nowMs)).toBe(0);
            granted += 1;
          }
        }
      }),
    );
  });
});

it('buckets that are full again are forgotten', () => {
  const buckets = new Buckets<string>(rate);
  buckets.of('a', 0).take(1, 0);
  buckets.of('b', 0).take(5, 0);
  buckets.sweep(100);
  expect(buckets.size).toBe(1);
  buckets.sweep(500);
  expect(buckets.size).toBe(0);
});
