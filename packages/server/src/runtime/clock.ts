import type { Clock, Timer } from '../core/clock.ts';

/**
 * The time of this machine. Its timers do not keep the process alive: sockets do, and a sweep that is due in a minute
 * must not delay an exit.
 */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs: number, run: () => void): Timer {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  turn(run: () => void): void {
    setImmediate(run);
  },
};
