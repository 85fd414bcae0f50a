import type { Clock, Timer } from './clock.ts';
import type { Log } from './seams/log.ts';
import type { Namespaces } from './log/namespaces.ts';
import type { Store } from './seams/store.ts';

export interface CaretakerParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly namespaces: Namespaces;
  /** Each forgets entries that were not used since that time, on the monotonic clock. */
  readonly sweeps: readonly ((sinceMs: number) => void)[];
}

const sweepEveryMs = 5_000;

/** Trims the store by age, and lets the parts of the core forget what is old, at regular intervals. */
export class Caretaker {
  readonly #parts: CaretakerParts;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(parts: CaretakerParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(sweepEveryMs, () => {
      const { store, clock, log, namespaces, sweeps } = this.#parts;
      for (const sweep of sweeps) sweep(clock.monotonicMs() - sweepEveryMs);
      store
        .sweep(clock.nowMs(), (channel) => namespaces.rulesOf(channel).retention)
        .catch((cause: unknown) => {
          // The store ends a sweep when it closes.
          if (!this.#isStopped) log.error({ err: cause }, 'the store could not trim by age');
        })
        .finally(() => {
          if (!this.#isStopped) this.start();
        });
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
