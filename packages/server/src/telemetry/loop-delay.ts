import type { Clock, Timer } from '../core/clock.ts';
import { Durations } from '../core/figures.ts';

/** Often enough to see a stall, and nothing that a profile would show. */
const everyMs = 100;

/** How much later than asked for the event loop runs a timer. */
export class LoopDelay {
  readonly durations = new Durations();
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#wait();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #wait(): void {
    const dueMs = this.#clock.monotonicMs() + everyMs;
    this.#timer = this.#clock.after(everyMs, () => {
      this.durations.observe(Math.max(0, this.#clock.monotonicMs() - dueMs));
      this.#wait();
    });
  }
}
