import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkFormat, formatVersion } from '../../../src/stores/lmdb/format.ts';

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
