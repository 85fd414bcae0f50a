import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileName = 'format';
/** Its name until the data file beside it is there. */
const unfinishedName = 'format.new';
const kind = 'everywire-lmdb';
/** Raised by every change that an older server could not read. */
export const formatVersion = 1;

/**
 * Checks that this server can read the folder. The format is in a separate file beside the data, so that a folder of a
 * newer server is refused without opening, and thereby touching, its data.
 * @returns whether there is a store in the folder
 * @throws Error that tells an operator what to do
 */
export function checkFormat(folder: string): boolean {
  const path = join(folder, fileName);
  if (!existsSync(path)) {
    if (existsSync(join(folder, unfinishedName)) || !existsSync(join(folder, 'data.mdb'))) return false;
    throw new Error(`The folder ${folder} holds a database that is not Everywire's; choose another one.`);
  }
  const match = /^([a-z-]+) (\d+)\n$/.exec(readFileSync(path, 'utf8'));
  if (match?.[1] !== kind) {
    throw new Error(
      `The file ${path} does not say that this is an Everywire data folder; choose another one.`,
    );
  }
  const version = Number(match[2]);
  if (version > formatVersion) {
    throw new Error(
      `The data folder ${folder} was written by a newer Everywire (format ${version}; this one reads up to ` +
        `${formatVersion}). Nothing was touched. Use the newer version, or another folder.`,
    );
  }
  return true;
}

/** Before the data file is made. What an interrupted start has left of one goes: nothing was ever acknowledged from it. */
export function beginFormat(folder: string): void {
  writeFileSync(join(folder, unfinishedName), `${kind} ${formatVersion}\n`, { flush: true });
  for (const name of ['data.mdb', 'lock.mdb']) rmSync(join(folder, name), { force: true });
}

/** The data file is there: from here on a folder without it has lost it. */
export function finishFormat(folder: string): void {
  renameSync(join(folder, unfinishedName), join(folder, fileName));
}
