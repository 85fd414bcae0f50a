import { closeSync, existsSync, fstatSync, openSync, readSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

/** Where lmdb 3.5 keeps these in each of its two meta pages (MDB_meta in its mdb.c), little-endian. */
const metaAt = { magic: 24, pageBytes: 48, lastPage: 144, transaction: 152, end: 168 } as const;
const magic = 0xbeefc0de;
/** With any other LMDB would read where there is nothing, which ends the process. */
const pageSizes: ReadonlySet<number> = new Set([4_096, 8_192, 16_384, 32_768, 65_536]);

/** More than any store holds: a last page beyond is damage in the meta page itself, and no length to believe. */
const fileBytesMax = 2 ** 44;

/**
 * LMDB maps the file and believes its newest meta page. When the file was cut short, reading what is beyond its end
 * kills the process with SIGBUS, at opening already. With zeros in its place LMDB finds them and says so. A file may
 * rightly end a little early, as pages that a commit took and gave back are never written; zeros do no harm there.
 * @returns how many bytes were missing
 */
export function extendCutFile(folder: string): number {
  const missing = missingBytes(folder);
  if (missing > 0) truncateSync(dataPath(folder), statSync(dataPath(folder)).size + missing);
  return missing;
}

/**
 * Refuses a data file that is missing, where LMDB would make a new one, and one whose first page is not LMDB's. lmdb
 * 3.5.6 finds the latter too, and then ends the process with SIGSEGV instead of an error.
 * @throws Error for an operator
 */
export function checkFirstPage(folder: string): void {
  const isThere = existsSync(dataPath(folder));
  if (!isThere || statSync(dataPath(folder)).size === 0)
    throw new Error(
      `The data file ${dataPath(folder)} is ${isThere ? 'empty' : 'missing'}, and the file "format" beside it says that ` +
        `there were messages. ${whatToDo}`,
    );
  const fd = openSync(dataPath(folder), 'r');
  try {
    if (readMeta(fd, 0) !== undefined) return;
  } finally {
    closeSync(fd);
  }
  throw new Error(`The data file in ${folder} is damaged: its first page is not LMDB's. ${whatToDo}`);
}

/** For an operator whose data file cannot be opened. */
export const whatToDo =
  'Restore a backup of the folder, or move the folder away to start with an empty store.';

/** LMDB gives a code alone, which does not help an operator. */
export function explainDamage(caught: unknown, path: string): unknown {
  if (!(caught instanceof Error) || !caught.message.includes('MDB_')) return caught;
  const detail = caught.message.split('\n')[0]!;
  return new Error(`The data file in ${path} is damaged: ${detail} ${whatToDo}`, { cause: caught });
}

/** How many bytes the data file is shorter than its newest meta page says; 0 where there is no file. */
export function missingBytes(folder: string): number {
  if (!existsSync(dataPath(folder))) return 0;
  const fd = openSync(dataPath(folder), 'r');
  try {
    // The size last: a server that is running makes the file longer first, and then writes the meta page.
    const due = dueBytes(fd);
    return due > fileBytesMax ? 0 : Math.max(0, due - fstatSync(fd).size);
  } finally {
    closeSync(fd);
  }
}

function dataPath(folder: string): string {
  return join(folder, 'data.mdb');
}

/** How long the newest meta page says the file is; 0 without a meta page, which LMDB refuses by itself. */
function dueBytes(fd: number): number {
  const first = readMeta(fd, 0);
  const second = first === undefined ? undefined : readMeta(fd, first.pageBytes);
  const newest = second !== undefined && second.transaction > first!.transaction ? second : first;
  return newest === undefined ? 0 : (newest.lastPage + 1) * newest.pageBytes;
}

function readMeta(fd: number, at: number) {
  const page = Buffer.alloc(metaAt.end);
  if (readSync(fd, page, 0, page.length, at) < page.length) return undefined;
  const pageBytes = page.readUInt32LE(metaAt.pageBytes);
  if (page.readUInt32LE(metaAt.magic) !== magic || !pageSizes.has(pageBytes)) return undefined;
  return {
    pageBytes,
    lastPage: Number(page.readBigUInt64LE(metaAt.lastPage)),
    transaction: page.readBigUInt64LE(metaAt.transaction),
  };
}
