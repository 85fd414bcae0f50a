import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Rounds } from '../../support/rounds.ts';
import { corrupt } from './corruption.ts';
import { runCrashes } from './crash-run.ts';
import { CutDisk, SmallDisk, whyNot } from './disks.ts';
import { failFlush, whyNoStrace } from './failed-flush.ts';
import { fillDisk } from './full-disk.ts';
import { runCuts } from './power-cut.ts';
import { restoreOlderCopies } from './restore.ts';

const noCut = whyNot(() => new CutDisk());
const noSmall = whyNot(() => new SmallDisk({ mebibytes: 1 }));
const noStrace = whyNoStrace();

/** At full speed a cut seldom falls between an answer and its flush; with this it mostly does. */
const slowFlush =
  noStrace === undefined
    ? {
        under:
          'strace -f --seccomp-bpf -o /dev/null -e trace=fdatasync -e inject=fdatasync:delay_enter=30000'.split(
            ' ',
          ),
      }
    : {};

/** Each bug is built into the store alone, and the rig that is there for it has to find it. */
describe('a store with a bug is found out:', { timeout: 300_000 }, () => {
  it.skipIf(noCut !== undefined)(`ack before flush, by the power cut ${noCut ?? ''}`, async () => {
    const { counts } = await runCuts({
      cycles: Rounds.exactly(8),
      sabotage: 'ack before flush',
      start: slowFlush,
    });
    expect(counts.get('lost')).toBeGreaterThan(0);
  });

  it.skipIf(noCut !== undefined)(`fan-out before flush, by the power cut ${noCut ?? ''}`, async () => {
    const { counts } = await runCuts({
      cycles: Rounds.exactly(8),
      sabotage: 'fan-out before flush',
      start: slowFlush,
    });
    expect(counts.get('dirty delivery')).toBeGreaterThan(0);
  });

  it('dedup ids in memory only, by the kill', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'everywire-kill-'));
    try {
      const { counts } = await runCrashes({
        cycles: Rounds.exactly(3),
        url: `lmdb:${join(folder, 'data')}`,
        sabotage: 'dedup ids in memory only',
        crash: async (process) => {
          await process.kill();
          return Number.POSITIVE_INFINITY;
        },
      });
      expect(counts.get('duplicate')).toBeGreaterThan(0);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('CRC not checked, by damaged files', async () => {
    // Wrong bytes are read out, or a damaged length keeps the reader going round.
    const { violations } = await corrupt(Rounds.exactly(24), 'CRC not checked');
    expect(violations).not.toEqual([]);
  });

  it('epoch kept after restore, by an older copy', async () => {
    const { violations } = await restoreOlderCopies(Rounds.exactly(2), 'epoch kept after restore');
    expect(violations.map(({ rule }) => rule)).toContain('divergence');
  });

  it.skipIf(noSmall !== undefined)(`ENOSPC swallowed, by the full disk ${noSmall ?? ''}`, async () => {
    const { violations } = await fillDisk(Rounds.exactly(2), 'ENOSPC swallowed');
    expect(violations).not.toEqual([]);
  });

  it.skipIf(noStrace !== undefined)(`fsync retried, by the failed flush ${noStrace ?? ''}`, async () => {
    const { violations } = await failFlush({ call: 'fdatasync', error: 'EIO', at: 12 }, 'fsync retried');
    expect(violations).not.toEqual([]);
  });
});
