import { describe, expect, it } from 'vitest';
import { CutDisk, whyNot } from './disks.ts';
import { runCuts } from './power-cut.ts';
import { roundsOf } from '../../support/rounds.ts';

const reason = whyNot(() => new CutDisk());

describe.skipIf(reason !== undefined)(`a store whose power is cut ${reason ?? ''}`, () => {
  const cycles = roundsOf({ ci: 120, release: 10_000, budgetMs: 40_000 });
  it(
    `keeps what it accepted and delivered, over ${cycles.wanted} cuts (G1b, G3, G4)`,
    { timeout: 60_000 + cycles.wanted * 5_000 },
    async () => {
      const result = await runCuts({ cycles });
      console.info(`cuts: ${String(cycles)}`);
      expect(result.violations).toEqual([]);
      expect(result.unhandled).toEqual([]);
      expect(result.accepted).toBeGreaterThan(cycles.count);
    },
  );
});
