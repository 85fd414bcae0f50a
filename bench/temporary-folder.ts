import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folders = new Set<string>();

// Also when the bench is interrupted: a store of a long run is large.
process.on('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Makes an empty folder on the disk of TMPDIR, which is the disk that durable stores are measured on. */
export function makeTemporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'everywire-bench-'));
  folders.add(folder);
  return folder;
}

export function removeTemporaryFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  folders.delete(folder);
}
