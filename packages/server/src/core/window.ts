import { formatCursor, parseCursor, type Position } from '@everywire/protocol';
import type { Message } from './message.ts';
import type { Progress } from './transport.ts';

export interface WindowOptions {
  /** Messages delivered and not acknowledged, at most. */
  readonly messagesMax: number;
  /** Where an earlier subscription stood. */
  readonly progress?: Progress | undefined;
}

/** What was delivered and is not acknowledged yet. Its size is bounded, so a subscription stays a cursor and a window. */
export class Window {
  readonly #messagesMax: number;
  /** Unacknowledged, in the order of delivery: seq → place. */
  readonly #inFlight = new Map<number, Position>();
  /** Acknowledged one by one above the oldest that is not. */
  readonly #ackedAhead = new Map<number, Position>();
  /** Rewound and not delivered again yet: the position must not pass them. */
  readonly #awaited = new Set<number>();
  #ackedThrough: Position;
  #deliveredThroughSeq: number;
  redeliveredThroughSeq = 0;

  constructor(options: WindowOptions, start: Position) {
    this.#messagesMax = options.messagesMax;
    this.#ackedThrough = start;
    this.#deliveredThroughSeq = start.seq;
    const { progress } = options;
    if (progress === undefined) return;
    this.redeliveredThroughSeq = progress.deliveredThroughSeq;
    for (const cursor of progress.ackedAhead) {
      const place = parseCursor(cursor);
      if (place !== undefined) this.#ackedAhead.set(place.seq, place);
    }
  }

  /** Nothing is under way, and nothing was acknowledged out of order. */
  get isEmpty(): boolean {
    return this.#inFlight.size === 0 && this.#ackedAhead.size === 0 && this.#awaited.size === 0;
  }

  get progress(): Progress {
    return {
      cursor: formatCursor(this.#ackedThrough),
      ackedAhead: [...this.#ackedAhead.values()].map((place) => formatCursor(place)),
      deliveredThroughSeq: Math.max(this.#deliveredThroughSeq, this.redeliveredThroughSeq),
    };
  }

  isInFlight(seq: number): boolean {
    return this.#inFlight.has(seq);
  }

  /** The place up to which everything is acknowledged. */
  get ackedThrough(): Position {
    return this.#ackedThrough;
  }

  beginAt(start: Position): void {
    this.#ackedThrough = start;
    this.#deliveredThroughSeq = start.seq;
  }

  /** How many more may be delivered. Those acknowledged out of order still count: the position cannot pass the gap. */
  get room(): number {
    return this.#messagesMax - this.#inFlight.size - this.#ackedAhead.size;
  }

  isAcked(seq: number): boolean {
    return this.#ackedAhead.has(seq);
  }

  add(messages: readonly Message[]): void {
    for (const message of messages) {
      this.#inFlight.set(message.seq, message.position);
      if (message.seq > this.#deliveredThroughSeq) this.#deliveredThroughSeq = message.seq;
    }
    // Deliveries are in order, so what was passed over has expired or is gone.
    const throughSeq = messages.at(-1)?.seq ?? 0;
    for (const seq of this.#awaited) if (seq <= throughSeq) this.#awaited.delete(seq);
  }

  /** Acknowledges everything delivered up to `seq`, or `only` that message. Unknown seqs are ignored. */
  ack(seq: number, only: boolean): void {
    const acked = only
      ? this.#inFlight.has(seq)
        ? [seq]
        : []
      : [...this.#inFlight.keys()].filter((known) => known <= seq);
    for (const one of acked) {
      const place = this.#inFlight.get(one)!;
      this.#inFlight.delete(one);
      this.#ackedAhead.set(one, place);
    }
    this.#advance();
  }

  /** The position from which everything unacknowledged is delivered again; what was acknowledged is left out. */
  rewind(position: Position): Position {
    if (this.#inFlight.size === 0) return position;
    this.redeliveredThroughSeq = Math.max(this.redeliveredThroughSeq, this.#deliveredThroughSeq);
    for (const seq of this.#inFlight.keys()) this.#awaited.add(seq);
    this.#inFlight.clear();
    return this.#ackedThrough;
  }

  #advance(): void {
    const oldest = Math.min(this.#inFlight.keys().next().value ?? Number.POSITIVE_INFINITY, ...this.#awaited);
    const inOrder = [...this.#ackedAhead].sort(([left], [right]) => left - right);
    for (const [seq, place] of inOrder) {
      if (seq > oldest) break;
      this.#ackedThrough = place;
      this.#ackedAhead.delete(seq);
    }
  }
}
