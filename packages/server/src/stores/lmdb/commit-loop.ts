import { EverywireError } from '@everywire/protocol';
import type { Clock } from '../../core/clock.ts';

/** One caller's part of a commit. `run` does it, on a copy; the result arrives when the commit is durable. */
export interface Request<B> {
  /** About how much it adds to the commit. */
  readonly bytes: number;
  run(batch: B): () => void;
  reject(error: Error): void;
}

export interface CommitSteps<B> {
  begin(): B;
  /** Makes the batch durable; does nothing, at once, for one that has nothing to store. */
  store(batch: B): Promise<void>;
  /** The batch is durable: show it. */
  show(batch: B): void;
  /** The batch is not known to be durable. Returns the error for its publishers. */
  failed(caught: unknown): EverywireError;
}

/** About what one commit holds: more makes the others wait for longer than a flush takes. */
const batchBytesMax = 1024 * 1024;
const watchdogMs = 5_000;

/**
 * Group commit: tasks that arrive during one flush form the next commit, so the number of flushes does not depend on
 * the number of publishers, and a single publisher waits for no other.
 */
export class CommitLoop<B> {
  readonly #steps: CommitSteps<B>;
  readonly #clock: Clock;
  #waiting: Request<B>[] = [];
  #isRunning = false;
  #idle: (() => void)[] = [];

  constructor(steps: CommitSteps<B>, clock: Clock) {
    this.#steps = steps;
    this.#clock = clock;
  }

  add(request: Request<B>): void {
    this.#waiting.push(request);
    if (this.#isRunning) return;
    this.#isRunning = true;
    // Messages of one socket read arrive in one turn, and belong together.
    queueMicrotask(() => void this.#run());
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Resolves when nothing is waiting or on its way, while it is running. */
  idle(): Promise<void> {
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) await this.#commit(this.#take());
    this.#isRunning = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #take(): readonly Request<B>[] {
    let bytes = 0;
    let count = 0;
    for (const request of this.#waiting) {
      if (count > 0 && bytes + request.bytes > batchBytesMax) break;
      bytes += request.bytes;
      count += 1;
    }
    if (count === this.#waiting.length) {
      const all = this.#waiting;
      this.#waiting = [];
      return all;
    }
    return this.#waiting.splice(0, count);
  }

  async #commit(requests: readonly Request<B>[]): Promise<void> {
    const answers: (() => void)[] = [];
    const waiting: Request<B>[] = [];
    try {
      const batch = this.#steps.begin();
      for (const request of requests) {
        try {
          answers.push(request.run(batch));
          waiting.push(request);
        } catch (caught) {
          request.reject(caught instanceof Error ? caught : new Error(String(caught)));
        }
      }
      await this.#watched(this.#steps.store(batch));
      this.#steps.show(batch);
    } catch (caught) {
      const error = this.#steps.failed(caught);
      for (const request of waiting.length > 0 ? waiting : requests) request.reject(error);
      return;
    }
    for (const answer of answers) answer();
  }

  /** A flush that does not come back is a failure too: its publishers must not wait for ever. */
  #watched(stored: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.after(watchdogMs, () => {
        reject(new EverywireError('store_unavailable', `The disk did not answer within ${watchdogMs} ms.`));
      });
      stored.then(
        () => {
          timer.cancel();
          resolve();
        },
        (caught: unknown) => {
          timer.cancel();
          reject(caught instanceof Error ? caught : new Error(String(caught)));
        },
      );
    });
  }
}
