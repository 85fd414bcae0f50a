import { mkdirSync } from 'node:fs';
import type { OpenDatabase } from './database.ts';
import { checkFirstPage, extendCutFile, whatToDo } from './file-end.ts';
import { checkFormat } from './format.ts';
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
  // Messages are in it as they came, and the secrets of webhooks. A folder that is there already stays as it is.
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const unlock = lockFolder(path);
  try {
    checkFormat(path);
    checkFirstPage(path);
    const cutBytes = extendCutFile(path);
    if (cutBytes > 0) options.log.error({ cutBytes }, 'the data file was cut short; run everywire doctor');
    const opened = await openLog(options);
    syncFolder(path);
    return { opened, unlock };
  } catch (caught) {
    unlock();
    throw explainOpening(caught, path);
  }
}

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

/** LMDB names what it found by a code alone, which tells an operator nothing. */
function explainOpening(caught: unknown, path: string): unknown {
  if (!(caught instanceof Error) || !caught.message.includes('MDB_')) return caught;
  const detail = caught.message.split('\n')[0]!;
  return new Error(`The data file in ${path} is damaged: ${detail} ${whatToDo}`, { cause: caught });
}
