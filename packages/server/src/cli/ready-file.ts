import { renameSync, rmSync, writeFileSync } from 'node:fs';
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

export function removeReadyFile(path: string): void {
  rmSync(path, { force: true });
}
