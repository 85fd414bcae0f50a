import type { Clock, Timer } from '../core/clock.ts';
import type { WebSocketLimits } from './limits.ts';
import type { Log } from '../core/seams/log.ts';
import type { FrameReaderLimits } from '@everywire/wires/websocket';
import type { WebSocketEndpoint, WebSocketHandlers, WebSocketPeer } from './peer.ts';

export interface PeerGroupOptions<Context> {
  readonly handlers: WebSocketHandlers<Context>;
  readonly limits: WebSocketLimits;
  /** Payload of one message from a peer. */
  readonly messageBytesMax: number;
  /** The same until `peer.trust()`; default: no other. */
  readonly firstMessageBytesMax?: number | undefined;
  /** After `trust`: longer binary messages come in pieces, for protocols that are a stream of bytes. */
  readonly passesLongBinary?: boolean | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** The number of buckets for the heartbeat sweep, so that 8,000 pings do not leave at once. */
const bucketCount = 16;

/** The peers of one endpoint: their shared state, their heartbeat in one sweep, and their answers of one turn. */
export class PeerGroup<Context> implements WebSocketEndpoint<Context> {
  readonly handlers: WebSocketHandlers<Context>;
  readonly limits: WebSocketLimits;
  readonly readerLimits: FrameReaderLimits;
  readonly firstReaderLimits: FrameReaderLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly #buckets = Array.from({ length: bucketCount }, () => new Set<WebSocketPeer<Context>>());
  #nextBucket = 0;
  #sweepTimer: Timer | undefined;
  #size = 0;
  #unflushed: WebSocketPeer<Context>[] = [];
  readonly #emptied: (() => void)[] = [];

  constructor(options: PeerGroupOptions<Context>) {
    this.handlers = options.handlers;
    this.limits = options.limits;
    this.readerLimits = {
      messageBytesMax: options.messageBytesMax,
      passesLongBinary: options.passesLongBinary,
      fragmentsMax: options.limits.fragmentsMax,
    };
    const { firstMessageBytesMax } = options;
    this.firstReaderLimits =
      firstMessageBytesMax === undefined
        ? this.readerLimits
        : { ...this.readerLimits, messageBytesMax: firstMessageBytesMax, passesLongBinary: false };
    this.clock = options.clock;
    this.log = options.log;
  }

  /** Connections whose sockets are still open. */
  get size(): number {
    return this.#size;
  }

  *[Symbol.iterator](): Iterator<WebSocketPeer<Context>> {
    for (const bucket of this.#buckets) yield* bucket;
  }

  /** Resolves when no socket is open any more. */
  async emptied(): Promise<void> {
    if (this.#size > 0) await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }

  add(peer: WebSocketPeer<Context>): number {
    const bucket = this.#size % bucketCount;
    this.#buckets[bucket]!.add(peer);
    this.#size += 1;
    this.#sweepTimer ??= this.#scheduleSweep();
    return bucket;
  }

  remove(peer: WebSocketPeer<Context>, bucket: number): void {
    if (!this.#buckets[bucket]!.delete(peer)) return;
    this.#size -= 1;
    if (this.#size > 0) return;
    this.#sweepTimer?.cancel();
    this.#sweepTimer = undefined;
    for (const resolve of this.#emptied.splice(0)) resolve();
  }

  flushSoon(peer: WebSocketPeer<Context>): void {
    if (this.#unflushed.push(peer) === 1) process.nextTick(this.#flush);
  }

  readonly #flush = (): void => {
    const peers = this.#unflushed;
    this.#unflushed = [];
    for (const peer of peers) peer.flush();
  };

  readonly #sweep = (): void => {
    const bucket = this.#buckets[this.#nextBucket]!;
    this.#nextBucket = (this.#nextBucket + 1) % bucketCount;
    for (const peer of bucket) peer.beat();
    this.#sweepTimer = this.#scheduleSweep();
  };

  #scheduleSweep(): Timer {
    return this.clock.after(this.limits.heartbeatEveryMs / bucketCount, this.#sweep);
  }
}
