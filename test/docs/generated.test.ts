import { describe, expect, it } from 'vitest';
import { readEnvironment } from '../../packages/server/src/config/environment.ts';
import { listLeaves } from '../../packages/server/src/config/schema.ts';
import { docsPages } from '../../scripts/docs/blocks.ts';
import { variablesOf } from '../../scripts/docs/configuration.ts';

describe('the derived parts of the documentation', () => {
  it.each(docsPages())('$name is up to date (node scripts/generate-docs.ts)', ({ current, wanted }) => {
    expect(current).toBe(wanted);
  });

  it('names variables that the server knows', () => {
    const names = listLeaves().flatMap(variablesOf);
    const { problems } = readEnvironment(Object.fromEntries(names.map((name) => [name, '1'])));
    expect(problems.filter((problem) => problem.includes('unknown'))).toEqual([]);
    expect(names.length).toBeGreaterThan(40);
  });
});
