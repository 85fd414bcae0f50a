import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLmdbStore } from '../../../packages/server/src/stores/lmdb/store.ts';
import { storeContract } from '../store.contract.ts';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

storeContract({
  name: 'lmdb',
  modelRuns: 100,
  isAloneBecause: 'its folder is locked by the process that has it open',
  place: (options) => {
    const folder = mkdtempSync(join(tmpdir(), 'everywire-lmdb-'));
    const path = join(folder, 'data');
    const copy = join(folder, 'copy');
    return {
      make: () => createLmdbStore({ ...options, path, log }),
      copies: {
        take: () => cpSync(path, copy, { recursive: true }),
        putBack: () => {
          rmSync(path, { recursive: true });
          cpSync(copy, path, { recursive: true });
        },
      },
      remove: () => rmSync(folder, { recursive: true }),
    };
  },
});
