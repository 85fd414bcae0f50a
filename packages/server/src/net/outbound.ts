/** The writing half of a connection: a socket, a stream of HTTP/2, or the body of a response. */
export interface WritingEnd {
  readonly writableLength: number;
  readonly writableNeedDrain: boolean;
  write(bytes: Buffer, onWritten?: () => void): unknown;
}

/** The owner, which continues when the peer's machine has taken the written bytes. */
export interface OutboundOwner {
  /** Continues deliveries that were held back. */
  continueDelivery(): void;
  /** Continues to read after too many answers were unsent. */
  continueReading?(): void;
}

/** The limits of a connection's unsent bytes. */
export interface OutboundBounds {
  /** Above this, the server delivers nothing more to it, and reads no command that needs an answer. */
  readonly outboundHeldFromBytes: number;
  /** Above this many bytes of answers, the server cuts the connection: the peer sends, but does not read. */
  readonly outboundBytesMax: number;
}

const nothing = Buffer.alloc(0);

/**
 * How well a peer reads its answers. `slow`: the server reads nothing more from it for now. `deaf`: the server must cut
 * it. Deliveries do not count, because one message may be larger than all answers together.
 */
export function listeningOf(
  unsentBytes: number,
  bounds: OutboundBounds,
  deliveredBytes = 0,
): 'prompt' | 'slow' | 'deaf' {
  if (unsentBytes <= bounds.outboundHeldFromBytes) return 'prompt';
  return unsentBytes - deliveredBytes <= bounds.outboundBytesMax ? 'slow' : 'deaf';
}

/**
 * The back-pressure of one connection: it holds the callers that wait until written bytes have left. A connection makes
 * this object when it first has too much unsent, so that connections that never fall behind need no memory for it.
 */
export class Outbound {
  readonly #end: WritingEnd;
  readonly #heldFromBytes: number;
  readonly #owner: OutboundOwner;
  #isHeld = false;
  #deliveredBytes = 0;
  #isStalled = false;
  /** A write whose callback will report the drain is under way. */
  #isDrainAwaited = false;
  #hasEnded = false;

  constructor(end: WritingEnd, heldFromBytes: number, owner: OutboundOwner) {
    this.#end = end;
    this.#heldFromBytes = heldFromBytes;
    this.#owner = owner;
  }

  /** Deliveries wait. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Reading waits. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** The deliveries that may be unsent. */
  get deliveredBytes(): number {
    return this.#deliveredBytes;
  }

  /** Stops deliveries until `continueDelivery`, because a delivery of `bytes` was one too many. */
  hold(bytes = 0): void {
    this.#isHeld = true;
    this.#deliveredBytes += bytes;
    this.#awaitDrain();
  }

  /** Stops reading until `continueReading`. */
  stall(): void {
    this.#isStalled = true;
    this.#awaitDrain();
  }

  /** The stream reports `drain`. */
  drained(): void {
    if (this.#hasEnded) return;
    if (this.#end.writableLength > this.#heldFromBytes) {
      this.#awaitDrain();
      return;
    }
    const wasHeld = this.#isHeld;
    const wasStalled = this.#isStalled;
    this.#isHeld = false;
    this.#isStalled = false;
    this.#deliveredBytes = 0;
    if (wasHeld) this.#owner.continueDelivery();
    // The deliveries of just now may have filled it again.
    if (wasStalled && !this.isStalled) this.#owner.continueReading?.();
  }

  /** The connection delivers and answers nothing more, so all waiting callers continue. */
  end(): void {
    this.#hasEnded = true;
    this.#isHeld = false;
    this.#isStalled = false;
  }

  /**
   * Node reports a drain only above the stream's own high-water mark, which may be larger than ours. Below it, an empty
   * write reports it: its callback follows those of all other writes.
   */
  #awaitDrain(): void {
    if (this.#end.writableNeedDrain || this.#isDrainAwaited) return;
    this.#isDrainAwaited = true;
    this.#end.write(nothing, () => {
      this.#isDrainAwaited = false;
      this.drained();
    });
  }
}
