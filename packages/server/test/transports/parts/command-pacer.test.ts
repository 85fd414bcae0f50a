import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/core/clock.ts';
import { CommandPacer } from '../../../src/transports/parts/command-pacer.ts';

const limits = { commandsInFlightMax: 4, commandsInFlightBytesMax: 100 };

function rig() {
  const calls: string[] = [];
  const flow = { pause: () => calls.push('pause'), resume: () => calls.push('resume') };
  return { calls, pacer: new CommandPacer(flow, limits) };
}

function later(): { readonly done: Promise<void>; finish(): void } {
  let finish = (): void => undefined;
  const done = new Promise<void>((resolve) => (finish = resolve));
  return { done, finish: () => finish() };
}

const never = (): never => {
  throw new Error('refused');
};

describe('the bounds of what is under way', () => {
  it('is full at so many commands, and has room again at half of them', () => {
    const { pacer, calls } = rig();
    for (let started = 0; started < 4; started += 1) {
      expect(pacer.isBlocked).toBe(false);
      pacer.begin();
    }
    expect(pacer.isBlocked).toBe(true);
    pacer.end();
    expect(pacer.isBlocked).toBe(true);
    pacer.end();
    expect(pacer.isBlocked).toBe(false);
    expect(calls).toEqual(['pause', 'resume']);
  });

  it('is full at so many bytes, however few commands hold them', () => {
    const { pacer, calls } = rig();
    pacer.begin(60);
    expect(pacer.isBlocked).toBe(false);
    pacer.begin(40);
    expect(pacer.isBlocked).toBe(true);
    pacer.end(40);
    expect(pacer.isBlocked).toBe(true);
    pacer.end(60);
    expect(pacer.isBlocked).toBe(false);
    expect(pacer.isIdle).toBe(true);
    expect(calls).toEqual(['pause', 'resume']);
  });

  it('takes one command that is larger than the bound by itself', () => {
    const { pacer } = rig();
    pacer.begin(1_000);
    expect(pacer.isBlocked).toBe(true);
    pacer.end(1_000);
    expect(pacer.isBlocked).toBe(false);
  });

  it('counts a command until it is answered or refused', async () => {
    const { pacer } = rig();
    const first = later();
    const refused: unknown[] = [];
    const one = pacer.run(() => first.done, never, 10);
    const other = pacer.run(
      async () => never(),
      (caught) => refused.push(caught),
      10,
    );
    expect(pacer.isIdle).toBe(false);
    await other;
    expect([pacer.isIdle, refused.length]).toEqual([false, 1]);
    first.finish();
    await one;
    expect(pacer.isIdle).toBe(true);
  });
});

describe('commands that run by themselves', () => {
  it('wait for those before them, and keep those behind them back', async () => {
    const { pacer, calls } = rig();
    const work = later();
    pacer.begin();
    const alone = pacer.alone(async () => {
      calls.push('alone');
      await work.done;
    });
    expect([pacer.isBlocked, calls]).toEqual([true, ['pause']]);
    pacer.end();
    expect(calls).toEqual(['pause', 'alone']);
    expect(pacer.isBlocked).toBe(true);
    work.finish();
    await alone;
    expect([pacer.isBlocked, calls]).toEqual([false, ['pause', 'alone', 'resume']]);
  });

  it('pause once and resume once, however many reasons there are', async () => {
    const { pacer, calls } = rig();
    const work = later();
    const held = pacer.holdDuring(work.done);
    for (let started = 0; started < 4; started += 1) pacer.begin();
    work.finish();
    await held;
    expect(calls).toEqual(['pause']);
    pacer.end();
    pacer.end();
    expect(calls).toEqual(['pause', 'resume']);
  });

  it('let others continue when they fail', async () => {
    const { pacer, calls } = rig();
    await expect(pacer.alone(async () => never())).rejects.toThrow('refused');
    await expect(pacer.holdDuring(Promise.reject(new Error('broken')))).rejects.toThrow('broken');
    expect([pacer.isBlocked, calls]).toEqual([false, ['pause', 'resume', 'pause', 'resume']]);
  });

  it('come before a goodbye that is said behind them', async () => {
    const { pacer } = rig();
    const said: string[] = [];
    const work = later();
    pacer.begin();
    const alone = pacer.alone(async () => {
      pacer.begin();
      said.push('command');
      await work.done;
      pacer.end();
    });
    pacer.whenIdle(() => said.push('goodbye'));
    pacer.end();
    expect(said).toEqual(['command']);
    work.finish();
    await alone;
    expect(said).toEqual(['command', 'goodbye']);
  });
});

it('calls at once what waits for nothing', () => {
  const { pacer } = rig();
  let isCalled = false;
  pacer.whenIdle(() => (isCalled = true));
  expect(isCalled).toBe(true);
});

it('takes nothing during a delay, and does not add delays up', () => {
  const { pacer, calls } = rig();
  const due: (() => void)[] = [];
  const clock = { after: (_ms: number, then: () => void) => due.push(then) } as unknown as Clock;
  let leftMs = 10;
  pacer.holdWhile(() => leftMs, clock);
  pacer.holdWhile(() => leftMs, clock);
  expect([pacer.isBlocked, due.length]).toEqual([true, 1]);
  // A timer that is early.
  leftMs = 0.5;
  due[0]!();
  expect([pacer.isBlocked, due.length]).toEqual([true, 2]);
  leftMs = 0;
  due[1]!();
  expect([pacer.isBlocked, calls]).toEqual([false, ['pause', 'resume']]);
});
