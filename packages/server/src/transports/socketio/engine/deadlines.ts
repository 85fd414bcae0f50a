import type { Clock, Timer } from '../../../core/clock.ts';

/** Deadlines of equal length, in the order of setting. So one timer serves all, and to set one again costs no search. */
export class Deadlines<T> {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #due: (one: T) => void;
  readonly #dueAtMs = new Map<T, number>();
  #timer: Timer | undefined;

  constructor(clock: Clock, afterMs: number, due: (one: T) => void) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#due = due;
  }

  /** Sets the deadline to `afterMs` from now. */
  set(one: T): void {
    this.#dueAtMs.delete(one);
    this.#dueAtMs.set(one, this.#clock.monotonicMs() + this.#afterMs);
    this.#timer ??= this.#clock.after(this.#afterMs, this.#look);
  }

  has(one: T): boolean {
    return this.#dueAtMs.has(one);
  }

  delete(one: T): void {
    this.#dueAtMs.delete(one);
  }

  clear(): void {
    this.#dueAtMs.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    // Timers may come a fraction of a millisecond early.
    const nowMs = this.#clock.monotonicMs() + 1;
    for (const [one, dueAtMs] of this.#dueAtMs) {
      if (dueAtMs > nowMs) {
        this.#timer ??= this.#clock.after(dueAtMs - nowMs + 1, this.#look);
        break;
      }
      this.#dueAtMs.delete(one);
      this.#due(one);
    }
  };
}
