import { describe, expect, it } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { Heartbeats, type Quiet } from '../../src/http/heartbeats.ts';

/** A stopped clock that the test moves. */
class HandClock implements Clock {
  #nowMs = 0;
  readonly #due: { atMs: number; run: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }
  monotonicMs(): number {
    return this.#nowMs;
  }
  after(delayMs: number, run: () => void): { cancel(): void } {
    const entry = { atMs: this.#nowMs + delayMs, run };
    this.#due.push(entry);
    return { cancel: () => void this.#due.splice(this.#due.indexOf(entry), 1) };
  }
  turn(run: () => void): void {
    run();
  }
  pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const next = this.#due.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined) break;
      this.#due.splice(this.#due.indexOf(next), 1);
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = untilMs;
  }
}

class Peer implements Quiet {
  wroteAtTick = 0;
  isClosed = false;
  beats = 0;
  beat(): void {
    this.beats += 1;
  }
}

describe('heartbeats', () => {
  it('come to a silent peer once in every interval', () => {
    const clock = new HandClock();
    const heartbeats = new Heartbeats(clock, 15_000);
    heartbeats.start();
    const peer = new Peer();
    heartbeats.add(peer);
    clock.pass(15_000);
    expect(peer.beats).toBe(1);
    clock.pass(60_000);
    expect(peer.beats).toBe(5);
  });

  it('spare a peer that is written to, until it has been silent for the whole interval', () => {
    const clock = new HandClock();
    const heartbeats = new Heartbeats(clock, 15_000);
    heartbeats.start();
    const peer = new Peer();
    heartbeats.add(peer);
    for (let at = 0; at < 10; at += 1) {
      clock.pass(7_000);
      peer.wroteAtTick = heartbeats.tick;
    }
    expect(peer.beats).toBe(0);
    clock.pass(15_000);
    expect(peer.beats).toBe(1);
  });

  it('spread peers that came at once, and forget those that closed', () => {
    const clock = new HandClock();
    const heartbeats = new Heartbeats(clock, 15_000);
    heartbeats.start();
    const peers = Array.from({ length: 300 }, () => new Peer());
    for (const peer of peers) heartbeats.add(peer);
    clock.pass(13_000);
    const early = peers.filter(({ beats }) => beats > 0).length;
    expect(early).toBeGreaterThan(50);
    expect(early).toBeLessThan(200);
    for (const peer of peers) peer.isClosed = true;
    const before = peers.reduce((sum, { beats }) => sum + beats, 0);
    clock.pass(60_000);
    expect(peers.reduce((sum, { beats }) => sum + beats, 0)).toBe(before);
    heartbeats.stop();
  });
});
