import { stat } from 'node:fs/promises';
import type { Clock, Timer } from '../core/clock.ts';

export interface FileWatchOptions {
  readonly paths: readonly string[];
  readonly clock: Clock;
  readonly everyMs: number;
  /** Called when the files differ from before, and have not changed since the last check. */
  readonly onChange: () => Promise<void>;
}

/**
 * Checks files every few seconds. It compares inodes, sizes and times, through symbolic links. So it detects files that
 * were overwritten, renamed into place (certbot) or whose folder was exchanged (Kubernetes), on every file system; the
 * file events of the system do not.
 */
export class FileWatch {
  readonly #options: FileWatchOptions;
  #known = '';
  #seen = '';
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  /** Remembers the present state of the files. */
  async start(): Promise<void> {
    this.#known = this.#seen = await signature(this.#options.paths);
    this.#lookLater();
  }

  /** The caller has already loaded the present files. */
  async refresh(): Promise<void> {
    this.#known = this.#seen = await signature(this.#options.paths);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  #lookLater(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.after(this.#options.everyMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const now = await signature(this.#options.paths);
    // Certificate and key are two writes, so wait until the files no longer change.
    const isSettled = now === this.#seen && now !== this.#known;
    this.#seen = now;
    if (isSettled && !this.#isStopped) {
      this.#known = now;
      await this.#options.onChange();
    }
    this.#lookLater();
  }
}

/** A file that is missing for a moment counts as a change. */
async function signature(paths: readonly string[]): Promise<string> {
  const parts = await Promise.all(
    paths.map((path) =>
      stat(path, { bigint: true }).then(
        ({ dev, ino, size, mtimeNs, ctimeNs }) => `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`,
        (cause: unknown) => (cause as NodeJS.ErrnoException).code ?? 'unknown',
      ),
    ),
  );
  return parts.join('\n');
}
