import type { Clock } from '../../src/core/clock.ts';
import { systemClock } from '../../src/runtime/clock.ts';

/** Both its clocks are stopped until the test moves them. */
export class HandClock implements Clock {
  wallMs = 1_800_000_000_000;
  monotonic = 0;
  readonly turn = systemClock.turn.bind(systemClock);
  readonly after = systemClock.after.bind(systemClock);

  nowMs(): number {
    return this.wallMs;
  }

  monotonicMs(): number {
    return this.monotonic;
  }

  pass(ms: number): void {
    this.wallMs += ms;
    this.monotonic += ms;
  }
}
