import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { StoreBench } from '../../../../test/contract/store-bench.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createStore, findDurabilityProblem, type StoreOptions } from '../../src/stores/index.ts';

const silent = () => undefined;
const options: StoreOptions = {
  clock: systemClock,
  random: createSystemRandom(),
  limits: defaultLimits,
  log: { debug: silent, info: silent, warn: silent, error: silent },
};

it('makes the store that a URL names', async () => {
  expect((await createStore('memory:', options)).traits.durable).toBe(false);
  const folder = mkdtempSync(join(tmpdir(), 'everywire-stores-'));
  const store = await createStore(`lmdb:${folder}/deep/data`, options);
  const bench = new StoreBench(store);
  await store.open(bench);
  expect(store.traits).toEqual({ durable: true, writers: 'one', feed: 'complete' });
  expect((await bench.append('a', 'x')).offset).toBe(1);
  await store.close();
  expect(existsSync(join(folder, 'deep/data/data.mdb'))).toBe(true);
  rmSync(folder, { recursive: true });
});

it.each(['', 'memory', 'lmbd:./data', 'redis://localhost'])(
  'says which there are when "%s" is not a store',
  async (url) => {
    await expect(createStore(url, options)).rejects.toThrow(/memory:, lmdb:/);
  },
);

it('offers a durability only where it makes a difference', () => {
  for (const durability of ['os', 'memory'] as const) {
    expect(findDurabilityProblem('lmdb:./data', durability)).toMatch(
      `The lmdb store does not offer "${durability}": it flushes before every answer. Use "fsync".`,
    );
    expect(findDurabilityProblem('memory:', durability)).toBeUndefined();
  }
  expect(findDurabilityProblem('lmdb:./data', 'fsync')).toBeUndefined();
  // Which stores there are is said elsewhere.
  for (const url of ['', 'lmdb', 'redis://localhost']) {
    expect(findDurabilityProblem(url, 'os')).toBeUndefined();
  }
});
