import type { From } from '@everywire/protocol';
import type { Gap } from './store.ts';

/** What several subscriptions of a session may have under way together. The transport counts; the hub asks. */
export interface Credit {
  /** How many more messages may be handed over now. Asked before each batch. */
  readonly available: number;
}

/** Messages that were acknowledged, as cursors: one, or everything of the filter from the first to the last. */
export type AckedRange = string | readonly [first: string, last: string];

/** Where a subscription stands, for one that is to go on later, maybe in another process. */
export interface Progress {
  /** Everything up to here was acknowledged, or needs to be no more. */
  readonly cursor: string;
  /** What above it was acknowledged out of order. Of meaning only with `acknowledge: 'peer'`. */
  readonly acksAboveWatermark: readonly AckedRange[];
  /**
   * Messages up to here may have been delivered before. Who cannot say that this was stored after the last delivery,
   * because the process may have been killed, gives the highest seq that can have been: `HubFront.head` when it starts.
   */
  readonly deliveredWatermark: number;
}

export interface SubscribeOptions {
  /** Absent: from now on. */
  readonly from?: From | undefined;
  /** Goes on where an earlier subscription stood; takes the place of `from`. */
  readonly progress?: Progress | undefined;
  /** Shared with other subscriptions of the session; holds besides the window. */
  readonly credit?: Credit | undefined;
  /**
   * Of a group (`$share/<group>/<filter>`): its place is kept when its last member has left, whichever that is, so that
   * what comes meanwhile waits for the next one; until `HubFront.forgetGroup`. Default false: the group ends with its
   * last member, unless the server is the one that ends the sessions.
   */
  readonly keepGroup?: boolean | undefined;
  /** `peer`: what is delivered stays in the window until the peer acks it. Default `delivered`. */
  readonly acknowledge?: 'delivered' | 'peer' | undefined;
  /** Messages delivered and not yet acked, at most; more than the limits allow is as many as they do. Only with `acknowledge: 'peer'`. */
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
 * started keeps back what the others bring above its place: subscribe all that begin together, then start them. Batches
 * come with one of the subscriptions that brought them.
 */
export interface Order {
  /** Everything up to here was handed over, of all its filters: the cursor of a peer that has taken it. */
  readonly cursor: string;
  /** All its filters are at the head, and nothing waits. */
  readonly isLive: boolean;
  /** What is missing where its filters begin; with several, the next valid cursor is that of the order. */
  readonly startGaps: readonly Gap[];
}

/** A session following a filter: a cursor and a window, never a queue. */
export interface Subscription {
  readonly filter: string;
  /** The transport's own handle. */
  readonly tag: unknown;
  /** Where the subscription begins, as a cursor. */
  readonly startCursor: string;
  /** What is missing at the place where it begins; empty means exact. Later gaps are notices. */
  readonly startGaps: readonly Gap[];
  /**
   * From here on the sink is handed what there is: batches, gaps, the end. Call it once the peer has been answered and
   * what must survive a crash is saved. Of one that ended meanwhile the sink hears why, if its peer did not ask for that.
   */
  start(): void;
  /** The cursor of a peer that has taken everything delivered so far; the durable head while nothing is on its way. */
  readonly cursor: string;
  /** At the head, new messages are pushed. Otherwise it is reading the log, or held. */
  readonly isLive: boolean;
  /**
   * With `acknowledge: 'peer'`, or in a group: what is delivered up to here is a repetition, or may be one after a crash.
   * To be looked at in `deliver`, for the messages of that batch.
   */
  readonly redeliveredThroughSeq: number;
  /**
   * The peer has processed that message, and without `only` everything delivered before it. It may be called from within
   * `deliver`.
   */
  ack(seq: number, only?: boolean): void;
  /** What to hand to `SubscribeOptions.progress` later. Of a member of a group: the group keeps its own, this is empty. */
  readonly progress: Progress;
  /**
   * This message was not processed: it is delivered again, and it alone, in a group to whichever member has room, this
   * one last. Unknown: ignored.
   */
  release(seq: number): void;
  /** Everything unacknowledged is delivered again, from the oldest. */
  rewind(): void;
  /** Ends it, started or not. What a member of a group has not acknowledged goes to the others. */
  cancel(): void;
}
