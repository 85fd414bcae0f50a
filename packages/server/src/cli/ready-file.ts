import { asRecord } from '@everywire/protocol';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, basename, join } from 'node:path';

/** The content of the ready file, for programs that wait for the server. */
export interface Ready {
  readonly pid: number;
  readonly http: string;
  /** Absent when that listener is off. */
  readonly mqtt?: string | undefined;
  readonly stomp?: string | undefined;
  readonly mqtts?: string | undefined;
  readonly stomps?: string | undefined;
  /** `host:port`. */
  readonly grpc?: string | undefined;
}

/**
 * Writes the file under another name first, so that a reader never sees a part of it. Writes synchronously, like the
 * removal, which must also happen in the last moment of a process.
 */
export function writeReadyFile(path: string, ready: Ready): void {
  const unfinished = join(dirname(path), `.${basename(path)}.${process.pid}`);
  writeFileSync(unfinished, `${JSON.stringify(ready)}\n`);
  renameSync(unfinished, path);
}

/** At the end of this process: the file of another server, which was started later or runs on, stays. */
export function removeReadyFile(path: string): void {
  if (writerOf(path) === process.pid) rmSync(path, { force: true });
}

/** A server that was killed has left its file behind; that of a server that still runs stays. */
export function removeStaleReadyFile(path: string): void {
  const pid = writerOf(path);
  if (pid === undefined || pid === process.pid || !isServer(pid)) rmSync(path, { force: true });
}

function writerOf(path: string): number | undefined {
  try {
    const pid = asRecord(JSON.parse(readFileSync(path, 'utf8')))?.['pid'];
    return typeof pid === 'number' ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isServer(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  try {
    // Another program may have the pid by now.
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('serve');
  } catch {
    return true;
  }
}
