import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Config } from '../config/schema.ts';
import { maskPassword } from '../config/show.ts';
import type { Finding } from './doctor-machine.ts';

const freeBytesWanted = 1024 ** 3;
const mib = 1024 ** 2;
const scheme = 'lmdb:';

/** Room on the disk, and the data folder: that no other server has it, that its format is known, that all is whole. */
export async function checkStore({ store: url }: Config): Promise<readonly Finding[]> {
  if (!url.startsWith(scheme))
    return [{ verdict: 'good', text: `The store ${maskPassword(url)} keeps nothing on disk` }];
  const folder = resolve(url.slice(scheme.length));
  const room = await checkRoom(folder);
  if (!existsSync(join(folder, 'data.mdb'))) {
    return [room, { verdict: 'good', text: `${folder} holds no messages yet; serve begins it` }];
  }
  return [room, await checkLock(folder), await checkContent(folder)];
}

async function checkRoom(folder: string): Promise<Finding> {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  const { bavail, bsize } = await statfs(existing);
  const freeBytes = bavail * bsize;
  const text = `${Math.floor(freeBytes / mib)} MiB are free for ${folder}`;
  return { verdict: freeBytes >= freeBytesWanted ? 'good' : 'doubtful', text };
}

async function checkLock(folder: string): Promise<Finding> {
  const { lockFolder } = await import('../stores/lmdb/lock.ts');
  try {
    lockFolder(folder)();
    return { verdict: 'good', text: `${folder} is used by no other server` };
  } catch (error) {
    return { verdict: 'bad', text: (error as Error).message };
  }
}

/** Reads everything without changing anything; also beside a server that runs on the folder. */
async function checkContent(folder: string): Promise<Finding> {
  const { verifyStore } = await import('../stores/lmdb/verify.ts');
  try {
    const { channels, messages, problems } = await verifyStore(folder);
    return problems.length === 0
      ? { verdict: 'good', text: `${folder} is whole: ${messages} messages in ${channels} channels` }
      : { verdict: 'bad', text: `${folder} is damaged: ${problems.join(' ')}` };
  } catch (error) {
    return { verdict: 'bad', text: (error as Error).message };
  }
}
