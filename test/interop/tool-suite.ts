import { describe } from 'vitest';
import { isThere, type Tool } from '../../scripts/tools.ts';

/** A suite that drives a program of another project. Without the program the suite is skipped, and says why; in CI it fails. */
export function describeWith(tool: Tool, what: string, suite: () => void): void {
  const isHere = isThere(tool);
  if (!isHere && process.env['CI'] === 'true') throw new Error(`${tool.name} is not installed`);
  const name = isHere ? what : `${what} (skipped: ${tool.name} is not installed)`;
  describe.skipIf(!isHere)(name, { timeout: 60_000 }, suite);
}
