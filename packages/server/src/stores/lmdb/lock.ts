import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const fileName = 'everywire.lock';

interface Holder {
  readonly pid: number;
  /** When that process began, in the kernel's ticks: a reused pid has another. Empty where the system does not tell. */
  readonly startedAt: string;
}

/**
 * Takes the data folder for this process. A lock whose process is dead, or whose pid belongs to another process by now,
 * is taken over. Returns the function that releases it.
 * @throws Error that names the process holding it
 */
export function lockFolder(folder: string): () => void {
  const path = join(folder, fileName);
  const mine: Holder = { pid: process.pid, startedAt: startOf(process.pid) };
  const text = `${JSON.stringify(mine)}\n`;
  for (;;) {
    try {
      writeFileSync(path, text, { flag: 'wx' });
      return () => {
        rmSync(path, { force: true });
      };
    } catch (caught) {
      if (!(caught instanceof Error && 'code' in caught && caught.code === 'EEXIST')) throw caught;
    }
    const found = readIfThere(path);
    if (found === undefined) continue;
    const holder = parse(found);
    if (holder !== undefined && isAlive(holder)) {
      throw new Error(
        `The data folder ${folder} is used by process ${holder.pid}. ` +
          'Stop that server, or give this one another folder with --store lmdb:<folder>.',
      );
    }
    removeStale(path, found);
  }
}

/** Makes files that were created in `folder` survive a power cut: their names are written with the folder. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Two servers may find the same stale lock: the one that moved away a lock that was not stale any more puts it back. */
function removeStale(path: string, stale: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch (caught) {
    if (caught instanceof Error && 'code' in caught && caught.code === 'ENOENT') return;
    throw caught;
  }
  if (readFileSync(aside, 'utf8') === stale) rmSync(aside);
  else renameSync(aside, path);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (caught) {
    if (caught instanceof Error && 'code' in caught && caught.code === 'ENOENT') return undefined;
    throw caught;
  }
}

/** `undefined` for a lock that was cut off while it was written: its process died then. */
function parse(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('startedAt' in value)) {
      return undefined;
    }
    const { pid, startedAt } = value;
    return typeof pid === 'number' && typeof startedAt === 'string' ? { pid, startedAt } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive({ pid, startedAt }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (caught) {
    // EPERM: it lives, and belongs to another user.
    if (!(caught instanceof Error && 'code' in caught && caught.code === 'EPERM')) return false;
  }
  if (startedAt === '') return true;
  const [state, ...fields] = statOf(pid);
  // A zombie has ended, and keeps its pid until its parent asks after it: a supervisor may start the next one before.
  return state !== 'Z' && state !== 'X' && fields[startField] === startedAt;
}

function startOf(pid: number): string {
  const [, ...fields] = statOf(pid);
  return fields[startField] ?? '';
}

/** Fields between the state of a process and its start time (proc(5)). */
const startField = 18;

/** The kernel's fields of a process from its state on; nothing where the kernel has none. */
function statOf(pid: number): readonly string[] {
  const stat = readIfThere(`/proc/${pid}/stat`);
  // The name of the program, in parentheses, may hold spaces.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
}
