import { describe, expect, it } from 'vitest';
import { SmallDisk, whyNot } from './disks.ts';
import { fillDeletedRoom, fillDisk } from './full-disk.ts';
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

  it.each([2, 48, 700])(
    'takes as much again once its channels are deleted, with payloads up to %i KiB, round after round',
    { timeout: 120_000 },
    async (kib) => {
      const { violations, acceptedEach } = await fillDeletedRoom(4, kib * 1024);
      expect(violations).toEqual([]);
      const [first = 0, ...later] = acceptedEach;
      expect(first).toBeGreaterThan(10);
      // Sizes are random, and pages of the last deletion are free two commits later.
      for (const accepted of later) expect(accepted).toBeGreaterThan(first / 3);
    },
  );
});
