import type { Clock, Timer } from '../core/clock.ts';

/** A peer that needs heartbeats. */
export interface Quiet {
  /** The tick of the last write to it. */
  wroteAtTick: number;
  readonly isClosed: boolean;
  /** Writes a heartbeat. */
  beat(): void;
}

const tickMs = 1_000;

/**
 * One timer for all connections of a transport. Peers wait in buckets, one per tick, and the timer checks a peer when
 * it could have been silent for the whole interval. A peer with a write in between waits for the rest of its interval.
 */
export class Heartbeats {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #ticks: number;
  readonly #buckets: Quiet[][];
  #timer: Timer | undefined;
  #added = 0;
  /** Goes up by one each tick; a peer stores the value of its last write. */
  tick = 0;

  constructor(clock: Clock, everyMs: number) {
    this.#clock = clock;
    this.#tickMs = Math.max(1, Math.min(tickMs, Math.floor(everyMs / 4)));
    this.#ticks = Math.max(1, Math.floor(everyMs / this.#tickMs));
    this.#buckets = Array.from({ length: this.#ticks + 1 }, () => []);
  }

  start(): void {
    this.#timer = this.#clock.after(this.#tickMs, () => {
      this.start();
      this.#sweep();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }

  add(peer: Quiet): void {
    // Spreads peers that connected at the same time over a fifth of the interval, or their heartbeats would always be
    // due at the same time.
    this.#added += 1;
    const early = this.#added % Math.max(1, Math.floor(this.#ticks / 5));
    peer.wroteAtTick = this.tick - early;
    this.#place(peer);
  }

  #place(peer: Quiet): void {
    const due = peer.wroteAtTick + this.#ticks;
    this.#buckets[due % this.#buckets.length]!.push(peer);
  }

  #sweep(): void {
    this.tick += 1;
    const at = this.tick % this.#buckets.length;
    const peers = this.#buckets[at]!;
    this.#buckets[at] = [];
    for (const peer of peers) {
      if (peer.isClosed) continue;
      if (this.tick - peer.wroteAtTick >= this.#ticks) {
        peer.beat();
        peer.wroteAtTick = this.tick;
      }
      this.#place(peer);
    }
  }
}
