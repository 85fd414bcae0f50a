import { runSeeds } from './simulate.ts';
import { runOnSlowDisk } from './slow-flush.ts';
import { runVitest } from './vitest.ts';

/**
 * `npm run test:long`: the fault and interoperation suites in the sizes of a release, which take hours. Arguments are
 * Vitest's, or one of these:
 * - `simulation [seeds]`: the simulations under that many seeds, continued where the last run was stopped.
 * - `slow-flush [ms] [path…]`: the suites of `npm test`, each flush of the disk delayed by that much.
 */
const seedsDefault = 20_000;
const flushDelayMsDefault = 3;

async function main(args: readonly string[]): Promise<number> {
  const [what, size, ...rest] = args;
  if (what === 'simulation') return runSeeds(Number(size ?? seedsDefault));
  if (what === 'slow-flush') return runOnSlowDisk(Number(size ?? flushDelayMsDefault), rest);
  return runVitest(args.length > 0 ? args : ['test/faults', 'test/interop'], { EVERYWIRE_LONG: '1' });
}

process.exitCode = await main(process.argv.slice(2));
