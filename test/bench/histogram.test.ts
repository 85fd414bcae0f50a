import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Histogram } from '../../bench/histogram.ts';

test('a percentile is within 1.6 % above the sorted samples', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 ** 30 }), { minLength: 1, maxLength: 300 }),
      fc.constantFrom(0.5, 0.9, 0.99, 1),
      (samples, share) => {
        const histogram = new Histogram();
        for (const sample of samples) histogram.add(sample);
        const exact = samples.toSorted((a, b) => a - b)[Math.ceil(samples.length * share) - 1]!;
        const measured = histogram.percentileUs(share);
        expect(measured).toBeGreaterThanOrEqual(exact);
        expect(measured).toBeLessThanOrEqual(exact * 1.016 + 1);
      },
    ),
  );
});

test('without samples every percentile is 0', () => {
  expect(new Histogram().summary()).toEqual({ samples: 0, p50Us: 0, p99Us: 0, maxUs: 0 });
});
