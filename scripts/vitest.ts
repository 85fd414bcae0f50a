import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const manifest = createRequire(import.meta.url).resolve('vitest/package.json');

/** Runs Vitest by the Node that runs this script. Returns its exit code. */
export function runVitest(args: readonly string[], env: NodeJS.ProcessEnv = {}): number {
  const { status, error } = spawnSync(
    process.execPath,
    [join(dirname(manifest), 'vitest.mjs'), 'run', ...args],
    {
      stdio: 'inherit',
      env: { ...process.env, ...env },
    },
  );
  if (error !== undefined) throw error;
  // Ended by a signal: nothing was proved.
  return status ?? 1;
}
