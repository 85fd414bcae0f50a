import type { Clock, Timer } from './clock.ts';

/** One owner's deadline. */
export interface Deadline {
  /** Calls `onDue` in `delayMs` from now, and not when it was due before. */
  restart(delayMs: number): void;
  cancel(): void;
}

export interface DeadlinesOptions<Owner> {
  readonly clock: Clock;
  /** Called once per start, up to `tickMs` late and never early. It must not throw. */
  readonly onDue: (owner: Owner) => void;
  /** The resolution of time. Default 100 ms. */
  readonly tickMs?: number | undefined;
}

const tickMsDefault = 100;
/** With the default tick one round is 51 s; later deadlines are checked once a round. */
const slotCount = 512;

/**
 * Deadlines of many owners on one timer: a hashed timing wheel (Varghese and Lauck, 1987, scheme 6). Moving a deadline
 * further away, as every packet of a peer does, is one assignment: the wheel finds it in its old slot and moves it on.
 * Without deadlines there is no timer.
 */
export class Deadlines<Owner> {
  readonly #clock: Clock;
  readonly #onDue: (owner: Owner) => void;
  readonly #tickMs: number;
  readonly #slots: (Set<Entry<Owner>> | undefined)[] = Array.from({ length: slotCount }, () => undefined);
  #size = 0;
  /** The tick that was handled last. */
  #tick = 0;
  #timer: Timer | undefined;
  #timerTick = 0;

  constructor({ clock, onDue, tickMs = tickMsDefault }: DeadlinesOptions<Owner>) {
    this.#clock = clock;
    this.#onDue = onDue;
    this.#tickMs = tickMs;
  }

  /** Deadlines that have neither come nor been cancelled. */
  get size(): number {
    return this.#size;
  }

  start(owner: Owner, delayMs: number): Deadline {
    const entry = new Entry(owner, this);
    entry.restart(delayMs);
    return entry;
  }

  /** For entries. */
  place(entry: Entry<Owner>, delayMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    entry.dueMs = nowMs + delayMs;
    const dueTick = Math.ceil(entry.dueMs / this.#tickMs);
    // The wheel finds it in its slot in time, and moves it on.
    if (entry.tick !== 0 && entry.tick <= dueTick) return;
    if (entry.tick !== 0) this.#slots[entry.tick % slotCount]!.delete(entry);
    else if ((this.#size += 1) === 1) this.#tick = Math.floor(nowMs / this.#tickMs);
    this.#put(entry, dueTick);
    this.#schedule(entry.tick);
  }

  /** For entries. */
  remove(entry: Entry<Owner>): void {
    entry.dueMs = Infinity;
    if (entry.tick === 0) return;
    this.#slots[entry.tick % slotCount]!.delete(entry);
    entry.tick = 0;
    this.#size -= 1;
    if (this.#size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #put(entry: Entry<Owner>, dueTick: number): void {
    // At least one ahead of what has been handled, and less than a round, so that it does not fall on the same slot.
    entry.tick = Math.min(Math.max(dueTick, this.#tick + 1), this.#tick + slotCount - 1);
    (this.#slots[entry.tick % slotCount] ??= new Set()).add(entry);
  }

  #schedule(tick: number): void {
    if (this.#timer !== undefined && this.#timerTick <= tick) return;
    this.#timer?.cancel();
    this.#timerTick = tick;
    this.#timer = this.#clock.after(
      Math.max(0, tick * this.#tickMs - this.#clock.monotonicMs()),
      this.#advance,
    );
  }

  readonly #advance = (): void => {
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    const nowTick = Math.floor(nowMs / this.#tickMs);
    // After a pause of more than a round every slot has been passed once.
    const from = Math.max(this.#tick + 1, nowTick - slotCount + 1);
    this.#tick = Math.max(this.#tick, nowTick);
    const due: Entry<Owner>[] = [];
    for (let tick = from; tick <= nowTick; tick += 1) {
      const slot = this.#slots[tick % slotCount];
      if (slot === undefined || slot.size === 0) continue;
      this.#slots[tick % slotCount] = undefined;
      for (const entry of slot) {
        if (entry.dueMs <= nowMs) due.push(entry);
        else this.#put(entry, Math.ceil(entry.dueMs / this.#tickMs));
      }
    }
    for (const entry of due) {
      entry.tick = 0;
      this.#size -= 1;
    }
    for (const entry of due) {
      // One that was due before it may have cancelled or moved it.
      if (entry.tick === 0 && entry.dueMs <= nowMs) this.#onDue(entry.owner);
    }
    if (this.#size > 0) this.#scheduleNext();
  };

  #scheduleNext(): void {
    for (let tick = this.#tick + 1; tick < this.#tick + slotCount; tick += 1) {
      if ((this.#slots[tick % slotCount]?.size ?? 0) === 0) continue;
      this.#schedule(tick);
      return;
    }
  }
}

class Entry<Owner> implements Deadline {
  readonly owner: Owner;
  dueMs = 0;
  /** Its slot on the wheel; 0: not on the wheel. */
  tick = 0;
  readonly #wheel: Deadlines<Owner>;

  constructor(owner: Owner, wheel: Deadlines<Owner>) {
    this.owner = owner;
    this.#wheel = wheel;
  }

  restart(delayMs: number): void {
    this.#wheel.place(this, delayMs);
  }

  cancel(): void {
    this.#wheel.remove(this);
  }
}
