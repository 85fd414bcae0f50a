import { expect, it } from 'vitest';
import { restoreOlderCopies } from './restore.ts';
import { sizeOf } from './sizes.ts';

const rounds = sizeOf({ ci: 5, release: 50 });

it(
  `tells every reader that an older copy of the data was put back, ${rounds} times (G3, G6c)`,
  { timeout: 60_000 + rounds * 10_000 },
  async () => {
    const result = await restoreOlderCopies(rounds);
    expect(result.violations).toEqual([]);
    expect(result.stale).toBeGreaterThan(rounds);
    expect(result.valid).toBeGreaterThan(rounds);
  },
);
