import { describe, expect, it } from 'vitest';
import { SmallDisk, whyNot } from './disks.ts';
import { fillDisk } from './full-disk.ts';
import { roundsOf } from '../../support/rounds.ts';

const reason = whyNot(() => new SmallDisk({ mebibytes: 1 }));

describe.skipIf(reason !== undefined)(`a store whose disk is full ${reason ?? ''}`, () => {
  const rounds = roundsOf({ ci: 50, release: 500 });
  it(
    `refuses publishes, reads on, loses nothing and heals, over ${rounds.wanted} rounds (G12)`,
    { timeout: 60_000 + rounds.wanted * 20_000 },
    async () => {
      const result = await fillDisk(rounds);
      console.info(`full disks: ${String(rounds)}`);
      expect(result.violations).toEqual([]);
      expect(result.healedMs).toHaveLength(rounds.count);
      // The reserve for deleting is an estimate: 0 or 1 of 98 deletions were refused, and worked once there was space.
      expect(result.dropsRefused).toBeLessThanOrEqual(rounds.count / 10);
    },
  );
});
