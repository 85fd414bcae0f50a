import { describe, expect, it } from 'vitest';
import { failFlush, type Fault, whyNoStrace } from './failed-flush.ts';
import { sizeOf } from './sizes.ts';

const reason = whyNoStrace();
const last = sizeOf({ ci: 20, release: 200 });
const counts = Array.from({ length: last }, (_, index) => index + 1);

// Longer than all waits together, so that a hang fails in the wait that names it.
describe.skipIf(reason !== undefined)(
  `a store whose disk fails ${reason ?? ''}`,
  { timeout: 600_000 },
  () => {
    // The first calls belong to opening; there the store has to refuse to open.
    it.each(counts)('loses nothing and accepts nothing more when flush %i fails (G13)', (at) =>
      proves({ call: 'fdatasync', at }),
    );

    it.each(counts)('loses nothing and accepts nothing more when write %i fails (G13)', (at) =>
      proves({ call: 'pwrite64', at }),
    );

    it.each([5, 12])('stays closed for publishes when every flush from %i on fails', (at) => {
      return proves({ call: 'fdatasync', at, forEver: true });
    });
  },
);

async function proves(fault: Omit<Fault, 'error'>): Promise<void> {
  const result = await failFlush({ ...fault, error: 'EIO' });
  expect(result.violations).toEqual([]);
  expect(result.met).not.toBe('none');
}
