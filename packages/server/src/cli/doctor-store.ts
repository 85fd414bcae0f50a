import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/schema.ts';
import { maskPassword } from '../config/show.ts';
import { findStoreProblem } from '../stores/index.ts';
import type { Finding } from './doctor-machine.ts';
import { write } from './output.ts';

const freeBytesWanted = 1024 ** 3;
const mib = 1024 ** 2;
const scheme = 'lmdb:';

/** Checks the free space of the disk and the data folder, as `serve` does: writable, of a known format, and undamaged. */
export async function checkStore({ store: url }: Config): Promise<readonly Finding[]> {
  if (findStoreProblem(url) !== undefined) return [];
  if (!url.startsWith(scheme))
    return [{ verdict: 'good', text: `The store ${maskPassword(url)} keeps nothing on disk` }];
  const folder = resolve(url.slice(scheme.length));
  const existing = nearestExisting(folder);
  const unusable = await findUnusable(folder, existing);
  if (unusable !== undefined) return [unusable];
  const room = await checkRoom(folder, existing);
  if (!['format', 'data.mdb'].some((name) => existsSync(join(folder, name)))) {
    return [room, { verdict: 'good', text: `${folder} holds no messages yet; serve makes the store` }];
  }
  return [room, await checkLock(folder), await checkContent(folder)];
}

function nearestExisting(folder: string): string {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  return existing;
}

/** Whether the process can create files in the folder, or the folder itself. */
async function findUnusable(folder: string, existing: string): Promise<Finding | undefined> {
  const { explainFolder } = await import('../stores/lmdb/opening.ts');
  try {
    if (!statSync(existing).isDirectory())
      throw Object.assign(new Error(), { code: existing === folder ? 'EEXIST' : 'ENOTDIR' });
    accessSync(existing, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return { verdict: 'bad', text: (explainFolder(error, folder) as Error).message };
  }
}

async function checkRoom(folder: string, existing: string): Promise<Finding> {
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

/** Runs `verifyFolder` in another process, which LMDB ends (SIGSEGV, SIGABRT) where it meets a page that it cannot read. */
async function checkContent(folder: string): Promise<Finding> {
  const main = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, main, 'verify-folder', folder], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [output, [code, signal]] = await Promise.all([
    readAll(child.stdout),
    once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  if (code === 0) return JSON.parse(output) as Finding;
  const { whatToDo } = await import('../stores/lmdb/file-end.ts');
  const text = `${folder} is damaged: reading it ended the process that looked (${signal ?? `exit code ${code}`}). ${whatToDo}`;
  return { verdict: 'bad', text };
}

/** Reads everything without changing anything; also beside a server that runs on the folder. Prints the finding as JSON. */
export async function verifyFolder(folder: string): Promise<void> {
  await write(`${JSON.stringify(await judgeContent(folder))}\n`);
}

async function judgeContent(folder: string): Promise<Finding> {
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
