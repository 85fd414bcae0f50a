import { runVitest } from './vitest.ts';

/** `npm run test:long`: the fault and interoperation suites in the sizes of a release, which take hours. */
const suites = process.argv.length > 2 ? process.argv.slice(2) : ['test/faults', 'test/interop'];
process.exitCode = runVitest(suites, { EVERYWIRE_LONG: '1' });
