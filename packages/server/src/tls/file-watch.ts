import { stat } from 'node:fs/promises';
import type { Clock, Timer } from '../core/clock.ts';

export interface FileWatchOptions {
  readonly paths: readonly string[];
  readonly clock: Clock;
  readonly everyMs: number;
  /** The files are others than before, and have not changed since the last look. */
  readonly onChange: () => Promise<void>;
}

/**
 * Looks at files every few seconds. It compares inodes, sizes and times, through symbolic links: that sees files that
 * were written over, renamed into place (certbot) or whose folder was exchanged under them (Kubernetes), on every file
 * system, and the system's file events do not.
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

  /** What there is now is what is known. */
  async start(): Promise<void> {
    this.#known = this.#seen = await signature(this.#options.paths);
    this.#lookLater();
  }

  /** What there is now has been taken in by other means. */
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
    // Certificate and key are two writes: what still moves is waited for.
    const isSettled = now === this.#seen && now !== this.#known;
    this.#seen = now;
    if (isSettled && !this.#isStopped) {
      this.#known = now;
      await this.#options.onChange();
    }
    this.#lookLater();
  }
}

/** A file that is missing for a moment is a change like any other. */
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
