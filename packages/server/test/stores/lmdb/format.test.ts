import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { StoreBench } from '../../../../../test/contract/store-bench.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { checkFormat, formatVersion } from '../../../src/stores/lmdb/format.ts';
import { createLmdbStore } from '../../../src/stores/lmdb/store.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-format-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

it('marks a new folder and accepts it again', () => {
  checkFormat(folder);
  checkFormat(folder);
  expect(readFileSync(join(folder, 'format'), 'utf8')).toBe(`everywire-lmdb ${formatVersion}\n`);
});

it('refuses a newer one, naming both versions, and touches nothing', () => {
  writeFileSync(join(folder, 'format'), `everywire-lmdb ${formatVersion + 1}\n`);
  writeFileSync(join(folder, 'data.mdb'), 'of the future');
  expect(() => checkFormat(folder)).toThrow(new RegExp(`newer.*${formatVersion + 1}.*${formatVersion}`));
  expect(readdirSync(folder).sort()).toEqual(['data.mdb', 'format']);
  expect(readFileSync(join(folder, 'data.mdb'), 'utf8')).toBe('of the future');
});

it("refuses somebody else's database", () => {
  writeFileSync(join(folder, 'data.mdb'), 'x');
  expect(() => checkFormat(folder)).toThrow("not Everywire's");
  writeFileSync(join(folder, 'format'), 'something\n');
  expect(() => checkFormat(folder)).toThrow('does not say');
});

it.each([
  { what: 'whose first page is invalid', at: 0, bytes: 4_096 },
  { what: 'whose pages are gone', at: 8_192, bytes: 400_000 },
])('says what to do about a data file $what', async ({ at, bytes }) => {
  const options = {
    clock: systemClock,
    random: createSystemRandom(),
    limits: defaultLimits,
    log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    path: folder,
    durability: 'fsync',
  } as const;
  const bench = new StoreBench(createLmdbStore(options));
  await bench.store.open(bench);
  await bench.fill('a', 50);
  await bench.store.close();
  // lmdb itself would end this process over its first page, and names the others by a code.
  const file = openSync(join(folder, 'data.mdb'), 'r+');
  writeSync(file, Buffer.alloc(bytes), 0, bytes, at);
  closeSync(file);
  const damaged = new StoreBench(createLmdbStore(options));
  await expect(damaged.store.open(damaged)).rejects.toThrow(/is damaged.*backup/s);
  expect(readdirSync(folder)).not.toContain('everywire.lock');
});
