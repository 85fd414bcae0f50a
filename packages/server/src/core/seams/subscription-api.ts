import type { From } from '@everywire/protocol';
import type { Gap } from './store.ts';

/** A bound for the messages in flight of several subscriptions of a session. The transport counts, the hub asks. */
export interface Credit {
  /** How many more messages the sink takes now. The hub asks before each batch. */
  readonly available: number;
}

/** Messages that were acknowledged, as cursors: one, or everything of the filter from the first to the last. */
export type AckedRange = string | readonly [first: string, last: string];

/** The place of a subscription, from which another one can continue later, also in another process. */
export interface Progress {
  /** Everything up to here was acknowledged, or needs no acknowledgement any more. */
  readonly cursor: string;
  /** Messages above it that were acknowledged out of order. Only with `acknowledge: 'peer'`. */
  readonly acksAboveWatermark: readonly AckedRange[];
  /**
   * Messages up to here may have been delivered before. After a kill the stored value may be older than the last
   * delivery: then give the highest seq that can have been delivered, `HubFront.head` at the start.
   */
  readonly deliveredWatermark: number;
}

export interface SubscribeOptions {
  /** Absent: from now on. */
  readonly from?: From | undefined;
  /** Continues at the place of an earlier subscription; replaces `from`. */
  readonly progress?: Progress | undefined;
  /** Shared with other subscriptions of the session; holds besides the window. */
  readonly credit?: Credit | undefined;
  /**
   * Of a group (`$share/<group>/<filter>`): the group keeps its place after its last member has left, and messages wait
   * for the next member, until `HubFront.forgetGroup`. Default false: the group ends with its last member, unless the
   * server drains.
   */
  readonly keepGroup?: boolean | undefined;
  /** `peer`: delivered messages stay in the window until the peer acknowledges them. Default `delivered`. */
  readonly acknowledge?: 'delivered' | 'peer' | undefined;
  /** The most messages that are delivered and not acknowledged, within the limits. Only with `acknowledge: 'peer'`. */
  readonly windowMessages?: number | undefined;
  /** End by itself after this many batches: 1 is a long poll. */
  readonly batches?: number | undefined;
  /** Largest batch; default as the limits say. */
  readonly batchMessagesMax?: number | undefined;
  /** False: messages published by this same session are not delivered to it. Default true. */
  readonly echo?: boolean | undefined;
  /** The transport's own handle, given back with each delivery. */
  readonly tag?: unknown;
  /**
   * Made by `Session.order`: what this filter brings is delivered in one order with the other filters of it. Only with
   * `acknowledge: 'delivered'`, without a credit, and not of a group.
   */
  readonly order?: Order | undefined;
}

export interface OrderOptions {
  /** Bytes that may wait for an earlier message of another filter, of all filters together. */
  readonly waitingBytesMax: number;
  /** As of a subscription, for all filters together. */
  readonly batches?: number | undefined;
  readonly batchMessagesMax?: number | undefined;
}

/**
 * Several filters of one session as one stream, in the order of the store and each message once. A filter that is not
 * started holds back the messages of the others above its place: subscribe all filters first, then start them. Batches
 * come with one of the subscriptions that brought them.
 */
export interface Order {
  /** The sink received everything of all filters up to here: the cursor of a peer that has taken it. */
  readonly cursor: string;
  /** All its filters are at the head, and nothing waits. */
  readonly isLive: boolean;
  /** Gaps where its filters start. With several filters, the next valid cursor is that of the order. */
  readonly startGaps: readonly Gap[];
}

/** A session following a filter: a cursor and a window, never a queue. */
export interface Subscription {
  readonly filter: string;
  /** The transport's own handle. */
  readonly tag: unknown;
  /** Where the subscription begins, as a cursor. */
  readonly startCursor: string;
  /** Gaps at the place where it starts; empty means exact. Later gaps are notices. */
  readonly startGaps: readonly Gap[];
  /**
   * From now on the sink receives batches, gaps and the end. Call it once the peer has its answer and state that must
   * survive a crash is saved. If the subscription ended meanwhile without the peer's request, the sink receives the
   * reason.
   */
  start(): void;
  /** The cursor of a peer that has taken everything delivered so far; the durable head while nothing is on its way. */
  readonly cursor: string;
  /** At the head, new messages are pushed. Otherwise it is reading the log, or held. */
  readonly isLive: boolean;
  /**
   * With `acknowledge: 'peer'`, or in a group: deliveries up to here are repetitions, or may be after a crash. Read it
   * in `deliver`, for the messages of that batch.
   */
  readonly redeliveredThroughSeq: number;
  /**
   * The peer has processed that message, and without `only` also everything delivered before it. It may be called from
   * within `deliver`.
   */
  ack(seq: number, only?: boolean): void;
  /**
   * For `SubscribeOptions.progress` of a later subscription. Empty for a member of a group: the group keeps its
   * progress.
   */
  readonly progress: Progress;
  /**
   * The peer did not process this message: it alone is delivered again; in a group to any member with room, this one
   * last. An unknown seq is ignored.
   */
  release(seq: number): void;
  /** Everything unacknowledged is delivered again, from the oldest. */
  rewind(): void;
  /** Ends it, started or not. Unacknowledged messages of a group's member go to other members. */
  cancel(): void;
}
