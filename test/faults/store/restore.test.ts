import { expect, it } from 'vitest';
import { restoreOlderCopies } from './restore.ts';
import { roundsOf } from '../../support/rounds.ts';

const rounds = roundsOf({ ci: 5, release: 50 });

it(
  `tells every reader that an older copy of the data was put back, ${rounds.wanted} times (G3, G6c)`,
  { timeout: 60_000 + rounds.wanted * 60_000 },
  async () => {
    const result = await restoreOlderCopies(rounds);
    console.info(`older copies: ${String(rounds)}`);
    expect(result.violations).toEqual([]);
    expect(result.stale).toBeGreaterThan(rounds.count);
    expect(result.valid).toBeGreaterThan(rounds.count);
  },
);
