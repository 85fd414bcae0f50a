import type { Clock } from '../../../src/core/clock.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

/** The machine's clock, running `times` as fast: a retry after five seconds comes while a test can wait for it. */
export function fastClock(times: number): Clock {
  const beganMs = systemClock.nowMs();
  const beganMonotonicMs = systemClock.monotonicMs();
  const passedMs = (): number => (systemClock.monotonicMs() - beganMonotonicMs) * times;
  return {
    nowMs: () => beganMs + passedMs(),
    monotonicMs: () => beganMonotonicMs + passedMs(),
    after: (delayMs, run) => systemClock.after(delayMs / times, run),
    turn: (run) => systemClock.turn(run),
  };
}
