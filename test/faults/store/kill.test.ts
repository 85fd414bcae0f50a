import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCrashes } from './crash-run.ts';
import { roundsOf } from '../../support/rounds.ts';

describe('a store that is killed', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'everywire-kill-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const cycles = roundsOf({ ci: 300, release: 10_000, budgetMs: 60_000 });
  it(
    `keeps what it accepted, at its place, over ${cycles.wanted} kills (G1a, G2, G3, G7)`,
    { timeout: 60_000 + cycles.wanted * 5_000 },
    async () => {
      const result = await runCrashes({
        cycles,
        url: `lmdb:${join(folder, 'data')}`,
        crash: async (process) => {
          await process.kill();
          // The page cache outlives the process, so everything that it told must be there.
          return Number.POSITIVE_INFINITY;
        },
      });
      console.info(`kills: ${String(cycles)}`);
      expect(result.violations).toEqual([]);
      expect(result.unhandled).toEqual([]);
      expect(result.accepted).toBeGreaterThan(cycles.count);
    },
  );
});
