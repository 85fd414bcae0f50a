import type { Clock, Timer } from '../core/clock.ts';

/** A peer that should not be left in silence. */
export interface Quiet {
  /** The tick at which something was last written to it. */
  wroteAtTick: number;
  readonly isClosed: boolean;
  /** Writes a heartbeat. */
  beat(): void;
}

const tickMs = 1_000;

/**
 * One timer for all connections of a transport: peers wait in buckets, one per tick, and are looked at when they could
 * have been silent for the whole interval. A peer that was written to meanwhile waits for the rest of its interval.
 */
export class Heartbeats {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #ticks: number;
  readonly #buckets: Quiet[][];
  #timer: Timer | undefined;
  #added = 0;
  /** Counts up; a peer stores its value at the last write. */
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
    // Peers that came in one storm are spread over a fifth of the interval, or they would beat in one storm for ever.
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
