import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileName = 'format';
const kind = 'everywire-lmdb';
/** Raised by every change that an older server could not read. */
export const formatVersion = 1;

/**
 * Checks that this server can read the folder, and marks a new one. The format is in a separate file beside the data,
 * so that a folder of a newer server is refused without opening, and thereby touching, its data.
 * @throws Error that tells an operator what to do
 */
export function checkFormat(folder: string): void {
  const path = join(folder, fileName);
  if (!existsSync(path)) {
    if (existsSync(join(folder, 'data.mdb'))) {
      throw new Error(`The folder ${folder} holds a database that is not Everywire's; choose another one.`);
    }
    writeFileSync(path, `${kind} ${formatVersion}\n`, { flush: true });
    return;
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
}
