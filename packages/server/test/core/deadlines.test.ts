import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Clock, Timer } from '../../src/core/clock.ts';
import { Deadlines, type Deadline } from '../../src/core/deadlines.ts';

/** Time that a test moves. */
class TestClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  /** How often a timer was asked for. */
  timersMade = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.timersMade += 1;
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  turn(run: () => void): void {
    run();
  }

  get timers(): number {
    return this.#timers.size;
  }

  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** The process was stopped: time has passed, and no timer ran meanwhile. */
  stopFor(ms: number): void {
    this.#nowMs += ms;
    this.pass(0);
  }
}

const hourMs = 3_600_000;

function makeDeadlines(): { clock: TestClock; due: string[]; deadlines: Deadlines<string> } {
  const clock = new TestClock();
  const due: string[] = [];
  return { clock, due, deadlines: new Deadlines({ clock, onDue: (owner) => due.push(owner) }) };
}

describe('deadlines', () => {
  test('come in time, at most one tick late, never early, once', () => {
    const { clock, due, deadlines } = makeDeadlines();
    for (const ms of [1, 300, 701, 5_000, 51_200, 60_000, 27 * hourMs]) deadlines.start(String(ms), ms);
    for (const ms of [1, 300, 701, 5_000, 51_200, 60_000, 27 * hourMs]) {
      clock.pass(ms - 1 - clock.nowMs());
      expect(due).not.toContain(String(ms));
      clock.pass(101);
      expect(due.filter((owner) => owner === String(ms))).toHaveLength(1);
    }
    expect([deadlines.size, clock.timers]).toEqual([0, 0]);
  });

  test('that move with every packet cost no timer', () => {
    const { clock, due, deadlines } = makeDeadlines();
    const deadline = deadlines.start('a', 90_000);
    for (let packet = 0; packet < 10_000; packet += 1) {
      deadline.restart(90_000);
      clock.pass(10);
    }
    // Looked at once a round.
    expect(clock.timersMade).toBeLessThan(5);
    expect(due).toEqual([]);
    clock.pass(90_100);
    expect(due).toEqual(['a']);
  });

  test('one that is due may cancel and move others that are due with it', () => {
    const clock = new TestClock();
    const due: string[] = [];
    const made = new Map<string, Deadline>();
    const deadlines = new Deadlines<string>({
      clock,
      onDue: (owner) => {
        due.push(owner);
        made.get('b')!.cancel();
        if (owner === 'a') made.get('c')!.restart(500);
      },
    });
    for (const owner of ['a', 'b', 'c']) made.set(owner, deadlines.start(owner, 50));
    clock.pass(200);
    expect(due).toEqual(['a']);
    clock.pass(500);
    expect(due).toEqual(['a', 'c']);
    expect(clock.timers).toBe(0);
  });

  test('all come after a stop of any length', () => {
    for (const stopMs of [40_000, 60_000, 10 * hourMs]) {
      const { clock, due, deadlines } = makeDeadlines();
      deadlines.start('near', 5_000);
      deadlines.start('far', 20 * hourMs);
      clock.stopFor(stopMs);
      expect(due).toEqual(['near']);
      clock.pass(20 * hourMs);
      expect(due).toEqual(['near', 'far']);
    }
  });

  test('behave as a timer each would', () => {
    const step = fc.record({
      owner: fc.integer({ min: 0, max: 4 }),
      action: fc.constantFrom('restart', 'restart', 'cancel'),
      delayMs: fc.oneof(
        fc.integer({ min: 0, max: 500 }),
        fc.integer({ min: 500, max: 200_000 }),
        fc.integer({ min: 0, max: 30 * hourMs }),
      ),
      passMs: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 120_000 })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const clock = new TestClock();
        const made = new Map<number, Deadline>();
        /** When each is due, and none that is not. */
        const expected = new Map<number, number>();
        const deadlines = new Deadlines<number>({
          clock,
          onDue: (owner) => {
            const dueMs = expected.get(owner);
            expect(dueMs).toBeDefined();
            expect(clock.nowMs()).toBeGreaterThanOrEqual(dueMs!);
            expect(clock.nowMs()).toBeLessThanOrEqual(dueMs! + 100);
            expected.delete(owner);
          },
        });
        for (const { owner, action, delayMs, passMs } of steps) {
          if (action === 'cancel') {
            made.get(owner)?.cancel();
            expected.delete(owner);
          } else {
            expected.set(owner, clock.nowMs() + delayMs);
            const deadline = made.get(owner);
            if (deadline === undefined) made.set(owner, deadlines.start(owner, delayMs));
            else deadline.restart(delayMs);
          }
          clock.pass(passMs);
          for (const dueMs of expected.values()) expect(dueMs + 100).toBeGreaterThanOrEqual(clock.nowMs());
          expect(deadlines.size).toBe(expected.size);
        }
        clock.pass(31 * hourMs);
        expect([expected.size, clock.timers]).toEqual([0, 0]);
      }),
      { numRuns: 300 },
    );
  });
});
