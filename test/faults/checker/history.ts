/**
 * The records of clients during a run: append-only, one history each. `HistoryChecker` judges them afterwards.
 * Only the order of the events of one client, and of one subscriber, matters; histories of several clients may be fed
 * in any interleaving. Times are nanoseconds of one monotonic clock that all of them share.
 */

/** A message as a client saw it: in an answer, in a delivery, or in the final read. */
export interface Sighting {
  readonly channel: string;
  /** Which life of the channel, in runs that delete channels; '' otherwise. */
  readonly life?: string | undefined;
  readonly offset: number;
  readonly epoch: string;
  readonly seq: number;
  readonly tag: string;
  /** The published value. Every publish of a run has a different value, so the value also names the publish. */
  readonly value: string;
}

interface Timed {
  readonly atNs: number;
}

/** A publish is sent; also each time it is repeated with the same publish id. */
export interface PublishInvoked extends Timed {
  readonly kind: 'publish';
  readonly client: string;
  readonly channel: string;
  readonly value: string;
  /** Publishes of one lane are stored in the order of their events: one connection, nothing sent twice. */
  readonly lane?: string | undefined;
  /** Has a time to live: it may be absent from deliveries and reads. */
  readonly mayExpire?: boolean | undefined;
}

export interface PublishAccepted extends Timed, Sighting {
  readonly kind: 'accepted';
}

export interface PublishRefused extends Timed {
  readonly kind: 'refused';
  readonly value: string;
}

/** No answer came: it may have been stored or not. */
export interface PublishUnknown extends Timed {
  readonly kind: 'unknown';
  readonly value: string;
}

/**
 * A subscriber starts, or comes back with a cursor. If the cursor is at or after the last message it has read, the next
 * message must follow that last one: none in between may be missing. If the cursor is before it, the subscriber reads
 * again from the cursor.
 */
export interface ReadStarted extends Timed {
  readonly kind: 'start';
  readonly subscriber: string;
  readonly filters: readonly string[];
  /** Everything above this seq is expected; `undefined`: from the first delivery on. */
  readonly afterSeq: number | undefined;
  /** Seqs above `afterSeq` that were acked one by one, so that they need not come again. */
  readonly processed?: readonly number[] | undefined;
  /** A client whose own messages are not delivered to this subscriber. */
  readonly withoutClient?: string | undefined;
}

export interface Delivered extends Timed, Sighting {
  readonly kind: 'delivered';
  readonly subscriber: string;
  /** The wire marked it as delivered before. */
  readonly redelivered?: boolean | undefined;
}

export interface GapDeclared extends Timed {
  readonly kind: 'gap';
  readonly subscriber: string;
  /** The channel, or the filter's text. */
  readonly channel: string;
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly reason: string;
  /**
   * The notice declares nothing above this seq as gone. Absent for a channel of a wildcard, whose readers continue at
   * their position: there the offsets are enough.
   */
  readonly nextSeq?: number | undefined;
  /** Follows from a gap notice for all channels: it excuses missing messages, and the checker does not judge it. */
  readonly isImplied?: true | undefined;
}

/** The subscriber went away for good: it need not reach the head. */
export interface ReadStopped extends Timed {
  readonly kind: 'stop';
  readonly subscriber: string;
}

/** A user marks a channel as read up to `offset`. `atNs` is when it was sent, `doneNs` when it was answered. */
export interface ReadMarked extends Timed {
  readonly kind: 'mark';
  readonly user: string;
  readonly channel: string;
  readonly offset: number;
  readonly doneNs: number;
}

/** The server says how many messages of `channels` a user has not read. Times as for marks. */
export interface UnreadReported extends Timed {
  readonly kind: 'unread';
  readonly user: string;
  readonly channels: readonly string[];
  readonly count: number;
  readonly doneNs: number;
}

/** The store itself reports its messages, where a run can watch it. So the checker knows those without an answer too. */
export interface Stored extends Timed, Sighting {
  readonly kind: 'stored';
}

/** A life of a channel was deleted on purpose: its messages need not be in the final read. */
export interface ChannelDropped extends Timed {
  readonly kind: 'dropped';
  readonly channel: string;
  readonly life?: string | undefined;
}

/** The faults have stopped: from here the time to reach the head is counted. */
export interface FaultsStopped extends Timed {
  readonly kind: 'calm';
}

export type HistoryEvent =
  | PublishInvoked
  | PublishAccepted
  | PublishRefused
  | PublishUnknown
  | ReadStarted
  | Delivered
  | GapDeclared
  | ReadStopped
  | ReadMarked
  | UnreadReported
  | Stored
  | ChannelDropped
  | FaultsStopped;

/** One channel, read from offset 1 after the run. */
export interface FinalRead {
  readonly channel: string;
  readonly life?: string | undefined;
  /** The declared trim edge: offsets up to here are gone by retention. */
  readonly trimmedThrough: number;
  readonly messages: Iterable<Sighting>;
}

/** The eleven rules; the ninth has two sides. */
export type Rule =
  | 'lost'
  | 'duplicate'
  | 'divergence'
  | 'aborted read'
  | 'order'
  | 'hole'
  | 'subscriber'
  | 'dirty delivery'
  | 'silent gap'
  | 'false gap'
  | 'unread'
  | 'liveness';

export interface Violation {
  readonly rule: Rule;
  /** One sentence with the channel, offsets and values concerned. */
  readonly detail: string;
  /** The subscriber's last events before it, oldest first. */
  readonly context?: readonly HistoryEvent[];
}
