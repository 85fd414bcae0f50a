import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StoreBench } from '../../../../../test/contract/store-bench.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { explainFolder } from '../../../src/stores/lmdb/opening.ts';
import { createLmdbStore } from '../../../src/stores/lmdb/store.ts';

let parent: string;
let umask: number;

beforeEach(() => {
  umask = process.umask(0o022);
  parent = mkdtempSync(join(tmpdir(), 'everywire-folder-'));
});
afterEach(() => {
  process.umask(umask);
  rmSync(parent, { recursive: true });
});

async function modeOfOpened(path: string): Promise<number> {
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const parts = { clock: systemClock, random: createSystemRandom(), limits: defaultLimits, log };
  const bench = new StoreBench(createLmdbStore({ ...parts, path }));
  await bench.store.open(bench);
  await bench.store.close();
  return statSync(path).mode & 0o777;
}

it('that the server makes is private', async () => {
  expect(await modeOfOpened(join(parent, 'data'))).toBe(0o700);
});

it('that the operator has made stays as it is', async () => {
  chmodSync(parent, 0o750);
  expect(await modeOfOpened(parent)).toBe(0o750);
});

it('that cannot be written is named, with what to do, and is no problem of a port', () => {
  const error = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES', syscall: 'mkdir' });
  const explained = explainFolder(error, '/srv/data') as Error;
  expect(explained.message).toBe(
    'The data folder /srv/data cannot be written by the user that runs this server (EACCES). ' +
      'Choose another with --store lmdb:<folder>.',
  );
  expect(explained).not.toHaveProperty('code');
});
