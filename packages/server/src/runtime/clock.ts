import type { Clock, Timer } from '../core/clock.ts';

/**
 * Time as this machine tells it. Its timers do not keep the process alive: a server lives by its sockets, and a sweep
 * that is due in a minute must not hold up an exit.
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
