import { describe, expect, it } from 'vitest';
import { simulateAcknowledging } from './simulation.ts';

const isLong = process.env['EVERYWIRE_LONG'] === '1';
const oneSeed = process.env['EVERYWIRE_SEED'];
const seedsCount = isLong ? 100_000 : 1_000;
const steps = Number(process.env['EVERYWIRE_STEPS'] ?? 500);
const blocksCount = 10;
/** A failing seed runs alone with `EVERYWIRE_SEED=<seed> npx vitest run test/simulation/acknowledging`. */
const seeds =
  oneSeed === undefined ? Array.from({ length: seedsCount }, (_, at) => at + 1) : [Number(oneSeed)];

describe('readers that acknowledge, and groups of them, under a seed', () => {
  const blockLength = Math.ceil(seeds.length / blocksCount);
  const blocks = Array.from({ length: Math.ceil(seeds.length / blockLength) }, (_, at) =>
    seeds.slice(at * blockLength, (at + 1) * blockLength),
  );
  it.each(blocks.map((block) => ({ first: block[0]!, last: block.at(-1)!, block })))(
    'seeds $first to $last',
    async ({ block }) => {
      let kills = 0;
      for (const seed of block) {
        const outcome = await simulateAcknowledging({ seed, steps });
        expect({ seed, problems: outcome.problems }).toEqual({ seed, problems: [] });
        kills += outcome.kills;
      }
      if (block.length > 1) expect(kills).toBeGreaterThan(block.length);
    },
    isLong ? 3_600_000 : 120_000,
  );
});
