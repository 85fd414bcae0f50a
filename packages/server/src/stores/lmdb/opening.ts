import { mkdirSync } from 'node:fs';
import type { OpenDatabase } from './database.ts';
import { checkFirstPage, explainDamage, extendCutFile } from './file-end.ts';
import { beginFormat, checkFormat, finishFormat } from './format.ts';
import { lockFolder, syncFolder } from './lock.ts';
import { OpenedLog, type OpenedLogOptions } from './opened-log.ts';
import { checkTail } from './verify.ts';

export interface OpeningOptions extends OpenedLogOptions {
  readonly path: string;
  readonly openDatabase: OpenDatabase;
}

export interface OpenedFolder {
  readonly opened: OpenedLog;
  /** To be called when the log is closed for good. */
  readonly unlock: () => void;
}

/** Locks the data folder, which is made when it is not there, and opens what is in it. @throws Error for an operator */
export async function openFolder(options: OpeningOptions): Promise<OpenedFolder> {
  const { path } = options;
  const unlock = takeFolder(path);
  try {
    const isNew = !checkFormat(path);
    if (isNew) beginFormat(path);
    else checkFirstPage(path);
    const cutBytes = extendCutFile(path);
    if (cutBytes > 0) options.log.error({ cutBytes }, 'the data file was cut short; run everywire doctor');
    const opened = await openLog(options);
    if (isNew) finishFormat(path);
    syncFolder(path);
    return { opened, unlock };
  } catch (caught) {
    unlock();
    throw explainDamage(explainFolder(caught, path), path);
  }
}

function takeFolder(path: string): () => void {
  try {
    // It contains messages unencrypted, and the secrets of webhooks. A folder that is there already stays as it is.
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return lockFolder(path);
  } catch (caught) {
    throw explainFolder(caught, path);
  }
}

/** The system's errors name a call and a code; an operator needs the folder, and what to do. */
export function explainFolder(caught: unknown, path: string): unknown {
  if (!(caught instanceof Error && 'code' in caught && typeof caught.code === 'string')) return caught;
  const words = folderProblems.get(caught.code) ?? 'cannot be used';
  return new Error(
    `The data folder ${path} ${words} (${caught.code}). Choose another with --store lmdb:<folder>.`,
    { cause: caught },
  );
}

const folderProblems: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'cannot be written by the user that runs this server'],
  ['EPERM', 'cannot be written by the user that runs this server'],
  ['EROFS', 'is on a file system that is mounted read-only'],
  ['ENOTDIR', 'lies below a file that is no folder'],
  ['EEXIST', 'is a file and no folder'],
  ['ENOSPC', 'is on a disk without any room'],
]);

/** Opens the log of a folder that this process has locked. */
export async function openLog(options: OpeningOptions): Promise<OpenedLog> {
  const database = options.openDatabase({ path: options.path });
  try {
    const opened = await OpenedLog.open(database, options);
    const damagedSeqs = checkTail(opened);
    if (damagedSeqs.length > 0) {
      options.log.error({ damagedSeqs }, 'records at the end of the log are damaged; run everywire doctor');
    }
    return opened;
  } catch (caught) {
    await database.close();
    throw caught;
  }
}
