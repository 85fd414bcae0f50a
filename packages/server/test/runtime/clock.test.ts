import { expect, test } from 'vitest';
import { systemClock } from '../../src/runtime/clock.ts';

test('a turn comes after everything that is already due, and after promises', async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    systemClock.turn(() => {
      order.push('turn');
      resolve();
    });
    void Promise.resolve().then(() => order.push('promise'));
    process.nextTick(() => order.push('tick'));
    order.push('now');
  });
  expect(order[0]).toBe('now');
  expect(order.slice(1, 3).toSorted()).toEqual(['promise', 'tick']);
  expect(order[3]).toBe('turn');
});

test('a cancelled timer does not run, another does', async () => {
  const ran: string[] = [];
  const cancelled = systemClock.after(1, () => ran.push('cancelled'));
  cancelled.cancel();
  await new Promise<void>((resolve) => {
    systemClock.after(5, () => {
      ran.push('kept');
      resolve();
    });
  });
  expect(ran).toEqual(['kept']);
});

test('monotonic time never goes back', () => {
  let lastMs = systemClock.monotonicMs();
  for (let turn = 0; turn < 1_000; turn += 1) {
    const nowMs = systemClock.monotonicMs();
    expect(nowMs).toBeGreaterThanOrEqual(lastMs);
    lastMs = nowMs;
  }
});
