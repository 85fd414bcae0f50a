/** Writes the parts of `docs/` that are derived from the code. A test fails while they are stale. */
import { writeFileSync } from 'node:fs';
import { docsPages } from './docs/blocks.ts';

for (const { path, name, current, wanted } of docsPages()) {
  if (current === wanted) continue;
  writeFileSync(path, wanted);
  process.stdout.write(`${name}\n`);
}
