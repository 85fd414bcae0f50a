import { describe, expect, it } from 'vitest';
import { SmallDisk, whyNot } from './disks.ts';
import { fillDisk } from './full-disk.ts';
import { sizeOf } from './sizes.ts';

const reason = whyNot(() => new SmallDisk({ mebibytes: 1 }));

describe.skipIf(reason !== undefined)(`a store whose disk is full ${reason ?? ''}`, () => {
  const rounds = sizeOf({ ci: 50, release: 500 });
  it(
    `refuses publishes, reads on, loses nothing and heals, over ${rounds} rounds (G12)`,
    { timeout: rounds * 6_000 },
    async () => {
      const result = await fillDisk(rounds);
      expect(result.violations).toEqual([]);
      expect(result.healedMs).toHaveLength(rounds);
      // The reserve for deleting is an estimate: 0 or 1 of 98 deletions were refused, and worked once there was space.
      expect(result.dropsRefused).toBeLessThanOrEqual(rounds / 10);
    },
  );
});
