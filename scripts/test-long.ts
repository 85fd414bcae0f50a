import { runSeeds } from './simulate.ts';
import { runVitest } from './vitest.ts';

/**
 * `npm run test:long`: the fault and interoperation suites in the sizes of a release, which take hours. Arguments are
 * Vitest's, or one of these:
 * - `simulation [seeds]`: the simulations under that many seeds, continued where the last run was stopped.
 */
const seedsDefault = 20_000;

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'simulation') return runSeeds(Number(args[1] ?? seedsDefault));
  return runVitest(args.length > 0 ? args : ['test/faults', 'test/interop'], { EVERYWIRE_LONG: '1' });
}

process.exitCode = await main(process.argv.slice(2));
