import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { protoc } from '../../scripts/tools.ts';
import { describeWith } from '../interop/tool-suite.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const committed = join(root, 'packages/wires/src/grpc/generated');

function contents(folder: string): Record<string, string> {
  const files = globSync('**/*.{js,ts}', { cwd: folder }).sort();
  return Object.fromEntries(files.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
}

describeWith(protoc, 'the message code of gRPC', () => {
  it('is what `npm run generate:grpc` makes of proto/', () => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-proto-'));
    try {
      const { status, stderr } = spawnSync(
        process.execPath,
        [join(root, 'scripts/generate-grpc.ts'), folder],
        { encoding: 'utf8' },
      );
      expect(status, stderr).toBe(0);
      const made = contents(folder);
      expect(Object.keys(made).length).toBeGreaterThan(10);
      expect(contents(committed)).toEqual(made);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
