import { describe, expect, it } from 'vitest';
import { roundsOf } from '../support/rounds.ts';
import { simulate } from './simulation.ts';

const isLong = process.env['EVERYWIRE_LONG'] === '1';
const oneSeed = process.env['EVERYWIRE_SEED'];
const seedsCount = isLong ? 200_000 : 2_000;
const steps = Number(process.env['EVERYWIRE_STEPS'] ?? 500);
const blocksCount = 20;
/** Twice what a block takes with another process on each core. A slower machine runs fewer seeds of each, and says so. */
const blockBudgetMs = 15_000;
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
      const rounds = roundsOf({ ci: block.length, release: block.length, budgetMs: blockBudgetMs });
      for (const seed of block) {
        if (!rounds.begin()) break;
        const { violations, problems, deliveries } = await simulate({ seed, steps });
        expect({ seed, problems, violations }).toEqual({ seed, problems: [], violations: [] });
        expect(deliveries, `deliveries of seed ${seed}`).toBeGreaterThan(0);
      }
      if (rounds.count < block.length) console.info(`seeds from ${block[0]!} on: ${String(rounds)}`);
    },
    isLong ? 7_200_000 : 600_000,
  );
});
