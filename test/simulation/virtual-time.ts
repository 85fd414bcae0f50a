import type { Clock, Timer } from '../../packages/server/src/core/clock.ts';
import type { Chance } from './chance.ts';

interface Due {
  readonly atMs: number;
  /** Breaks ties by chance, so that events of one instant come in any order. */
  readonly rank: number;
  readonly run: () => void;
  isCancelled: boolean;
}

const startMs = Date.UTC(2026, 0, 1);

/** Lets all ready promises run: after this, only virtual time moves anything. */
function settlePromises(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Time, timers and turns of the event loop under a seed: timers that are due at one instant run in any order, and a turn
 * may hold one event or several.
 */
export class VirtualTime implements Clock {
  readonly #chance: Chance;
  /** A binary heap, soonest first. */
  readonly #due: Due[] = [];
  #atTurnEnd: (() => void)[] = [];
  #elapsedMs = 0;
  #wallMs = startMs;

  constructor(chance: Chance) {
    this.#chance = chance;
  }

  nowMs(): number {
    return this.#wallMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  get nowNs(): number {
    return this.#elapsedMs * 1e6;
  }

  /** Steps the wall clock, as NTP or an operator may. */
  stepWallClock(byMs: number): void {
    this.#wallMs += byMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const due: Due = {
      atMs: this.#elapsedMs + Math.max(0, delayMs),
      rank: this.#chance.below(1_000_000),
      run,
      isCancelled: false,
    };
    this.#push(due);
    return { cancel: () => (due.isCancelled = true) };
  }

  turn(run: () => void): void {
    this.#atTurnEnd.push(run);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Runs what is due next, if that is by `untilMs`, and says whether there was anything. */
  async runNext(untilMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    await settlePromises();
    while (this.#due[0]?.isCancelled === true) this.#pop();
    const next = this.#due[0];
    if (next === undefined || next.atMs > untilMs) return false;
    this.#pop();
    this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
    next.run();
    await settlePromises();
    return true;
  }

  async endTurn(): Promise<void> {
    await settlePromises();
    const callbacks = this.#atTurnEnd;
    this.#atTurnEnd = [];
    for (const callback of callbacks) callback();
    await settlePromises();
  }

  /** Runs turn by turn until `untilMs` of virtual time, and until no work due by then is left. */
  async runUntil(untilMs: number): Promise<void> {
    do {
      do await this.endTurn();
      while (this.#atTurnEnd.length > 0);
    } while (await this.runNext(untilMs));
    this.#elapsedMs = Math.max(this.#elapsedMs, untilMs);
  }

  #push(due: Due): void {
    const heap = this.#due;
    let at = heap.push(due) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isSooner(due, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = due;
  }

  #pop(): void {
    const heap = this.#due;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isSooner(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isSooner(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isSooner(left: Due, right: Due): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.rank < right.rank);
}
