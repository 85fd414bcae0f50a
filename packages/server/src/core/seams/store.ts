import type { EverywireError, GapReason, Position, Filter, Start } from '@everywire/protocol';
import type { Draft, Message, Place } from '../log/message.ts';
import type { Cluster } from './cluster.ts';

/**
 * Where channels live. One implementation per folder of `stores/`; one contract suite runs on all of them.
 *
 * Duties of every store:
 * - Offsets of a channel are 1, 2, 3 … without holes; seq grows strictly over the whole store, and no reader sees seq
 *   n+1 before n is durable or known never to come: wildcard cursors depend on it.
 * - A durable store never reads, lists, counts or feeds what a crash can take back.
 * - A position never names two messages. Every opening of the log by a writer begins a new epoch; the store remembers
 *   which seqs each epoch covers, so positions of earlier openings stay valid.
 * - Reads are by position and come in seq order.
 */
export interface Store {
  readonly traits: StoreTraits;
  /** Makes the store ready, or throws an error that tells an operator what to do. */
  open(feed: Feed): Promise<void>;
  /** Flushes appended messages and releases all resources. */
  close(): Promise<void>;
  /**
   * Appends in the order given. Resolves once everything is durable and was passed to the feed. Entry by entry the
   * result is a place or a refusal (`conflict`, `store_full`). With `atomic`, one refusal refuses all. Rejects with
   * `StaleWrite` when a guard or fence does not hold: nothing of the call was stored. Rejects with `store_unavailable`
   * when it is unknown whether anything was stored.
   */
  append(entries: readonly Entry[], options?: AppendOptions): Promise<readonly Appended[]>;
  /**
   * Messages that match `filter` after `after`, in seq order. An unknown position causes a gap in the page, never an
   * error.
   */
  read(filter: Filter, after: Position, limit: PageLimit): Promise<Page>;
  /** The position after which a read starts as `start` asks. */
  locate(filter: Filter, start: Start): Promise<Position>;
  /**
   * The place after which the newest messages of all filters together come: as many as the limit allows, and at least one
   * if it allows any.
   */
  newest(filters: readonly Filter[], limit: PageLimit): Promise<Position>;
  /** Whether messages that match were ever trimmed or deleted: otherwise the log up to a place never changes. */
  hasTrimmed(filter: Filter): Promise<boolean>;
  /** From the returned place on, the feed carries what matches `filter`. */
  follow(filter: Filter): Promise<Position>;
  unfollow(filter: Filter): Promise<void>;
  /** Channels that match, by name in code-unit order, after the name `after`. */
  channels(filter: Filter, after: string | undefined, limit: number): Promise<readonly ChannelInfo[]>;
  /**
   * The retained messages of matching channels above `afterSeq`, in seq order. They outlive retention. A page must cost no
   * more for the messages of other pages: one anonymous SUBSCRIBE may ask for all of them.
   */
  retained(filter: Filter, afterSeq: number, limit: PageLimit): Promise<RetainedPage>;
  /** Deletes a channel's log, its publish ids and its retained message. False when there was none. */
  drop(channel: string): Promise<boolean>;
  /** Trims by age the channels that get no appends, and forgets old publish ids and retained messages. */
  sweep(nowMs: number, retentionOf: (channel: string) => Retention): Promise<void>;
  health(): Health;
  /** For the metrics; cheap enough to ask every few seconds. */
  usage(): StoreUsage;
  readonly records: RecordStore;
  /** Usable between `open` and `close`, like everything else. */
  readonly cluster: Cluster;
}

export interface StoreUsage {
  readonly channels: number;
  /** The length of the file, or the payloads in memory. */
  readonly bytes: number;
  /** Room for more, on the disk and inside the file. Undefined for a store without a disk. */
  readonly freeBytes: number | undefined;
}

export interface StoreTraits {
  /** Acknowledged messages survive the end of the process. */
  readonly durable: boolean;
  /** `many`: several processes may have the store open, and each appends. `one`: a second opener is refused. */
  readonly writers: 'one' | 'many';
  /** `lossy`: a call of the feed may be late, and may be lost until `interrupted` tells of it. */
  readonly feed: 'complete' | 'lossy';
}

export interface Retention {
  readonly countMax: number;
  readonly ageMsMax: number;
  /** Payload bytes of a channel. */
  readonly bytesMax: number;
}

export interface Entry {
  readonly channel: string;
  readonly draft: Draft;
  readonly retention: Retention;
}

/**
 * An append with conditions stores nothing when one of them does not hold, with one exception: when every entry is a
 * duplicate, the call answers with the first places and writes no records. The call repeats one that was stored, and
 * the records of that one may be the reason why a guard fails now.
 */
export interface AppendOptions extends WriteConditions {
  readonly atomic?: boolean;
  /**
   * Written in the same transaction as the messages, unless an entry is refused: then no record is written. A duplicate
   * is not a refusal: a publisher that repeats a publish may have missed the answer that its records were written.
   */
  readonly records?: readonly RecordWrite[];
}

/** Conditions of a write, checked in its transaction, in the order of all writes. */
export interface WriteConditions {
  readonly guards?: readonly Guard[];
  readonly fences?: readonly Fence[];
}

/** The row must be as its writer read it: of several writers that read the same row, one can change it. */
export interface Guard {
  readonly table: string;
  readonly key: string;
  /** `undefined`: there must be no such row. */
  readonly expected: Buffer | undefined;
}

/** The lease must still have this token. */
export interface Fence {
  readonly name: string;
  readonly token: string;
}

/** Where an entry was stored, or, when `duplicate`, where it had been stored the first time. */
export interface Placement extends Place {
  readonly channel: string;
  readonly id: string;
  readonly timeMs: number;
  readonly duplicate: boolean;
}

export type Appended = Placement | EverywireError;

export interface PageLimit {
  readonly messagesMax: number;
  /** Estimated bytes; a page holds at least one message however large. */
  readonly bytesMax: number;
}

export interface Page {
  readonly messages: readonly Message[];
  /** Everything that matches up to here is in this page, in a gap of it, or before `after`. */
  readonly through: Position;
  /** False when the limit cut the page: read again after `through`. */
  readonly atHead: boolean;
  /** Empty means exact: nothing between `after` and `through` is missing. */
  readonly gaps: readonly Gap[];
}

export interface RetainedPage {
  readonly messages: readonly Message[];
  /** False when the limit cut the page: read again above the last seq. */
  readonly atEnd: boolean;
}

export interface Gap {
  /** The channel, or the filter's text where no single channel can be named. */
  readonly channel: string;
  /** First and last offset that are gone; absent where they cannot be known. */
  readonly from?: number | undefined;
  readonly to?: number | undefined;
  readonly reason: GapReason;
  /** Reading continues from here. */
  readonly next: Position;
}

export interface ChannelInfo {
  readonly channel: string;
  /** The offset of the newest message. */
  readonly offset: number;
  /** The oldest offset that can still be read; `offset + 1` when none can. */
  readonly firstOffset: number;
  /** Identifies this life of the channel: a deleted channel that is created again gets a new epoch. */
  readonly epoch: string;
  /** Payload bytes kept. */
  readonly bytes: number;
}

export interface Health {
  readonly ok: boolean;
  /** The problem and its remedy, for an operator. */
  readonly detail?: string;
}

/**
 * How a store reports appended messages: the only source of fan-out, for messages of this node and of other nodes.
 * Calls come in seq order. A feed that is `complete` loses nothing.
 */
export interface Feed {
  /** A run of consecutive messages of one channel, durable by now. Must not be changed. */
  appended(channel: string, messages: readonly Message[]): void;
  /** The feed may have lost calls: followers read again from their positions. */
  interrupted(): void;
  /** The channel's log is gone. */
  dropped(channel: string): void;
}

/** Durable rows beside the log: sessions, webhooks, read positions. Keys are bytewise ordered; both parts are UTF-8. */
export interface RecordStore {
  get(table: string, key: string): Promise<Buffer | undefined>;
  /** All or none, durable when it resolves. Rejects with `StaleWrite` when a condition does not hold. */
  write(writes: readonly RecordWrite[], conditions?: WriteConditions): Promise<void>;
  /** Rows of `table` whose key begins with `prefix` and is above `after`, in key order. */
  list(
    table: string,
    prefix: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly RecordRow[]>;
}

export interface RecordWrite {
  readonly table: string;
  readonly key: string;
  /** `undefined` removes the row. */
  readonly value: Buffer | undefined;
}

export interface RecordRow {
  readonly key: string;
  readonly value: Buffer;
}
