import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
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
import { beginFormat, checkFormat, finishFormat, formatVersion } from '../../../src/stores/lmdb/format.ts';
import { createLmdbStore } from '../../../src/stores/lmdb/store.ts';
import { verifyStore } from '../../../src/stores/lmdb/verify.ts';

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-format-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

it('marks a new folder and accepts it again', () => {
  expect(checkFormat(folder)).toBe(false);
  beginFormat(folder);
  // The start was interrupted here.
  writeFileSync(join(folder, 'data.mdb'), 'a beginning');
  expect(checkFormat(folder)).toBe(false);
  beginFormat(folder);
  expect(readdirSync(folder)).toEqual(['format.new']);
  finishFormat(folder);
  expect(checkFormat(folder)).toBe(true);
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
  await fillFolder();
  // lmdb itself would end this process over its first page, and names the others by a code.
  const file = openSync(join(folder, 'data.mdb'), 'r+');
  writeSync(file, Buffer.alloc(bytes), 0, bytes, at);
  closeSync(file);
  const damaged = makeStore();
  await expect(damaged.store.open(damaged)).rejects.toThrow(/is damaged.*backup/s);
  await expect(verifyStore(folder)).rejects.toThrow();
  expect(readdirSync(folder)).not.toContain('everywire.lock');
});

it.each([
  { what: 'missing', lose: (path: string) => rmSync(path) },
  { what: 'empty', lose: (path: string) => truncateSync(path, 0) },
])('says that the data file is $what, and makes no new one', async ({ what, lose }) => {
  await fillFolder();
  lose(join(folder, 'data.mdb'));
  const before = readdirSync(folder).sort();
  const store = makeStore();
  const words = new RegExp(`data\\.mdb is ${what}.*backup`, 's');
  await expect(store.store.open(store)).rejects.toThrow(words);
  await expect(verifyStore(folder)).rejects.toThrow(words);
  expect(readdirSync(folder).sort()).toEqual(before);
});

it('of a start that was interrupted is made anew', async () => {
  beginFormat(folder);
  writeFileSync(join(folder, 'data.mdb'), '');
  await fillFolder();
  expect(readdirSync(folder)).toContain('format');
  expect(await verifyStore(folder)).toMatchObject({ problems: [] });
});

function makeStore(): StoreBench {
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const parts = { clock: systemClock, random: createSystemRandom(), limits: defaultLimits, log };
  return new StoreBench(createLmdbStore({ ...parts, path: folder }));
}

async function fillFolder(): Promise<void> {
  const bench = makeStore();
  await bench.store.open(bench);
  await bench.fill('a', 50);
  await bench.store.close();
}
