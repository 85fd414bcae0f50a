import { EverywireError, formatCursor, parseCursor } from '@everywire/protocol';
import type { Batch } from '../../core/log/batch.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { AckMode } from './commands.ts';
import type { Durable } from './durables.ts';
import type { SharedFormat } from './message-formats.ts';

/** Gaps that the server will report with the next message. Only a filter can have several. */
const gapsMax = 8;

/** One subscription of a connection, from SUBSCRIBE to UNSUBSCRIBE. */
export class ClientSubscription {
  readonly key: string;
  readonly destination: string | undefined;
  readonly mode: AckMode;
  readonly first: SharedFormat;
  /** The format for redeliveries. */
  readonly again: SharedFormat;
  /** Undefined until the hub has opened it. */
  subscription: Subscription | undefined;
  gaps: Gap[] | undefined;
  /** The durable subscription that stores its position. */
  durable: Durable | undefined;
  /** A durable subscription that all clients share by its name. */
  isShared = false;
  /** For a durable subscription with `ack: auto`: messages up to here may have gone to an earlier connection. */
  againThroughSeq = 0;
  /** The highest seq that was delivered. */
  highestSeq = 0;
  /** Delivered and neither ACKed nor NACKed, in the order of delivery: seq → tag. */
  #unsettled: Map<number, string> | undefined;

  constructor(options: {
    readonly key: string;
    readonly destination: string | undefined;
    readonly mode: AckMode;
    readonly first: SharedFormat;
    readonly again: SharedFormat;
  }) {
    this.key = options.key;
    this.destination = options.destination;
    this.mode = options.mode;
    this.first = options.first;
    this.again = options.again;
  }

  addGap(gap: Gap): void {
    this.gaps ??= [];
    if (this.gaps.length < gapsMax) this.gaps.push(gap);
  }

  noteDelivered({ messages, lastSeq }: Batch): void {
    if (lastSeq > this.highestSeq) this.highestSeq = lastSeq;
    if (this.mode === 'auto') return;
    this.#unsettled ??= new Map();
    for (const { seq, tag } of messages) {
      this.#unsettled.delete(seq);
      this.#unsettled.set(seq, tag);
    }
  }

  /** The seq of an unacknowledged message, by its cursor; `undefined` without such a message. */
  seqOf(cursor: string): number | undefined {
    const place = parseCursor(cursor);
    if (place === undefined || this.#unsettled?.get(place.seq) !== place.tag) return undefined;
    return place.seq;
  }

  /** Whether nothing is left to settle of that message: it needs no ACK, or had one. */
  isSettled(seq: number): boolean {
    return seq <= this.highestSeq && this.#unsettled?.has(seq) !== true;
  }

  /** Settles a message by ACK or NACK; in mode `client` also all earlier ones. */
  settle(seq: number, how: 'ack' | 'release'): void {
    const unsettled = this.#unsettled;
    // Another frame settled it while this one waited in a transaction.
    if (unsettled?.has(seq) !== true) return;
    const settled: number[] = [];
    if (this.mode === 'client') {
      for (const one of unsettled.keys()) {
        settled.push(one);
        if (one === seq) break;
      }
    } else {
      settled.push(seq);
    }
    for (const one of settled) unsettled.delete(one);
    for (const one of settled) {
      if (how === 'ack') this.subscription?.ack(one, true);
      else this.subscription?.release(one);
    }
  }
}

/** The gaps as one header: the channel, the missing offsets, the reason, and the next valid cursor of each. */
export function gapHeader(gaps: readonly Gap[]): readonly [string, string] {
  return [
    'everywire-gap',
    JSON.stringify(
      gaps.map(({ channel, from, to, reason, next }) => ({
        channel,
        from,
        to,
        reason,
        cursor: formatCursor(next),
      })),
    ),
  ];
}

export function unknownMessage(): EverywireError {
  return new EverywireError('not_found', 'No unacknowledged message of that subscription has that id.');
}
