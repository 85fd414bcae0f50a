import { describe, expect, it } from 'vitest';
import { simulate } from './simulation.ts';

const isLong = process.env['EVERYWIRE_LONG'] === '1';
const oneSeed = process.env['EVERYWIRE_SEED'];
const seedsCount = isLong ? 200_000 : 2_000;
const steps = Number(process.env['EVERYWIRE_STEPS'] ?? 500);
const blocksCount = 20;
/** A failing seed runs alone with `EVERYWIRE_SEED=<seed> npx vitest run test/simulation/simulation.test.ts`. */
const seeds =
  oneSeed === undefined ? Array.from({ length: seedsCount }, (_, at) => at + 1) : [Number(oneSeed)];

describe('the core under a seed', () => {
  const blockLength = Math.ceil(seeds.length / blocksCount);
  const blocks = Array.from({ length: Math.ceil(seeds.length / blockLength) }, (_, at) =>
    seeds.slice(at * blockLength, (at + 1) * blockLength),
  );
  it.each(blocks.map((block) => ({ first: block[0]!, last: block.at(-1)!, block })))(
    'seeds $first to $last',
    async ({ block }) => {
      for (const seed of block) {
        const { violations, problems, deliveries } = await simulate({ seed, steps });
        expect({ seed, problems, violations }).toEqual({ seed, problems: [], violations: [] });
        expect(deliveries, `deliveries of seed ${seed}`).toBeGreaterThan(0);
      }
    },
    isLong ? 3_600_000 : 120_000,
  );
});
