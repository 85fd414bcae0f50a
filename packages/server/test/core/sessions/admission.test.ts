import { describe, expect, it } from 'vitest';
import { Admission, type Decision } from '../../../src/core/sessions/admission.ts';
import { defaultLimits, type AllLimits } from '../../../src/config/limits.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { systemClock } from '../../../src/runtime/clock.ts';

/** Timers are rung by hand. */
function handClock(): Clock & { ring(): void } {
  const timers = new Set<() => void>();
  return {
    nowMs: () => 0,
    monotonicMs: () => 0,
    turn: (run) => systemClock.turn(run),
    after(_delayMs, run) {
      timers.add(run);
      return { cancel: () => timers.delete(run) };
    },
    ring() {
      for (const run of timers) run();
      timers.clear();
    },
  };
}

function start(limits: Partial<AllLimits>, isExempt?: (address: string) => boolean) {
  const clock = handClock();
  const admission = new Admission({ ...defaultLimits, ...limits }, clock, isExempt);
  const events: string[] = [];
  const arrive = (key: string, address = 'a'): Decision =>
    admission.arrive(key, {
      address,
      serve: () => events.push(`serve ${key}`),
      refuse: () => events.push(`refuse ${key}`),
    });
  return { clock, admission, events, arrive };
}

describe('admission', () => {
  it('lets strangers of one address wait for their turn, and those of another not', () => {
    const { admission, events, arrive } = start({ unauthenticatedPerAddressMax: 2 });
    expect(['1', '2', '3', '4'].map((key) => arrive(key))).toEqual(['serve', 'serve', 'wait', 'wait']);
    expect(arrive('5', 'b')).toBe('serve');
    admission.know('1', 'ann');
    expect(events).toEqual(['serve 3']);
    admission.gone('2');
    expect(events).toEqual(['serve 3', 'serve 4']);
    expect(admission.figures).toEqual({ unauthenticated: 3, waiting: 0, refused: 0 });
  });

  it('refuses connections that have waited too long, and gives no turn to one that has closed', () => {
    const { clock, admission, events, arrive } = start({ unauthenticatedPerAddressMax: 1 });
    arrive('1');
    arrive('2');
    arrive('3');
    admission.gone('2');
    admission.know('1', 'ann');
    expect(events).toEqual(['serve 3']);
    arrive('4');
    clock.ring();
    expect(events).toEqual(['serve 3', 'refuse 4']);
    expect(admission.figures).toEqual({ unauthenticated: 1, waiting: 0, refused: 1 });
  });

  it('bounds strangers in all, with those that wait', () => {
    const { admission, arrive } = start({ unauthenticatedPerAddressMax: 1, unauthenticatedMax: 3 });
    expect(['1', '2', '3', '4'].map((key) => arrive(key))).toEqual(['serve', 'wait', 'wait', 'refuse']);
    expect(arrive('5', 'b')).toBe('refuse');
    admission.know('1', 'ann');
    expect(arrive('6', 'b')).toBe('serve');
  });

  it('bounds connections in all, by address and by subject', () => {
    const { admission, arrive } = start({
      connectionsMax: 5,
      connectionsPerAddressMax: 3,
      connectionsPerSubjectMax: 2,
    });
    for (const key of ['1', '2', '3']) expect(arrive(key)).toBe('serve');
    expect(arrive('4')).toBe('refuse');
    admission.know('1', 'ann');
    admission.know('2', 'ann');
    // Another request on the same connection.
    admission.know('2', 'ann');
    expect(() => admission.know('3', 'ann')).toThrow('at most 2 connections');
    admission.know('3', 'bob');
    expect([arrive('5', 'b'), arrive('6', 'b'), arrive('7', 'b')]).toEqual(['serve', 'serve', 'refuse']);
    for (const key of ['1', '2', '3', '5', '6']) admission.gone(key);
    admission.gone('6');
    for (const key of ['a', 'b', 'c']) {
      arrive(key);
      if (key !== 'c') admission.know(key, 'ann');
    }
    expect(admission.figures.unauthenticated).toBe(1);
  });

  it('does not count by address what comes from a proxy', () => {
    const { arrive } = start(
      { unauthenticatedPerAddressMax: 1, connectionsPerAddressMax: 1 },
      (address) => address === 'proxy',
    );
    for (const key of ['1', '2', '3']) expect(arrive(key, 'proxy')).toBe('serve');
  });

  it('refuses one that is gone before it was looked at', () => {
    const { admission } = start({});
    const arrival = { address: undefined, serve: () => undefined, refuse: () => undefined };
    expect(admission.arrive('1', arrival)).toBe('refuse');
  });
});
