import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compiler, ensureTools } from './tools.ts';
import { runVitest } from './vitest.ts';

const source = fileURLToPath(new URL('slow-flush.c', import.meta.url));

/**
 * `npm run test:long -- slow-flush [ms] [Vitest’s arguments]`: the suites of `npm test` on a disk that takes so much longer
 * for each flush. No test may fail for that. Returns the exit code.
 */
export function runOnSlowDisk(delayMs: number, args: readonly string[]): number {
  if (ensureTools([compiler]).length > 0) {
    process.stderr.write('a C compiler is not installed: there is no slow disk without it\n');
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'everywire-slow-flush-'));
  try {
    const library = join(folder, 'slow-flush.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl'], { stdio: 'inherit' });
    // Every process of the run inherits it; a name with the server's prefix would not reach the servers of the tests.
    return runVitest(args, { LD_PRELOAD: library, FLUSH_DELAY_US: String(delayMs * 1_000) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
