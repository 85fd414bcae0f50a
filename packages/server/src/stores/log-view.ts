import type { Position, Filter } from '@everywire/protocol';
import type { Message } from '../core/log/message.ts';
import type { TrimPoint } from './trim-point.ts';
import type { EpochHistory } from './epoch-history.ts';

/** The part of a message that is remembered for longer than the message. */
export interface SeqRow {
  readonly channelNo: number;
  readonly offset: number;
  readonly tag: string;
}

/** A channel as reading needs to see it; each store has its own kind. */
export interface LogChannel {
  readonly name: string;
  /** Messages that can be read. */
  readonly count: number;
}

/**
 * A store's log, seen by `Reader`, which knows what positions and gaps mean. Nothing in it waits, so that everything one
 * read finds belongs to one state of the log.
 */
export interface LogView<C extends LogChannel> {
  readonly history: EpochHistory;
  readonly head: Position;
  /** Rows up to this seq are forgotten. */
  readonly floorSeq: number;
  row(seq: number): SeqRow | undefined;
  /** Rows from `fromSeq` to `throughSeq`, both above the floor, until `visit` answers false. */
  scanRows(
    fromSeq: number,
    throughSeq: number,
    visit: (seq: number, channelNo: number, offset: number) => boolean,
  ): void;
  matching(filter: Filter): readonly C[];
  /** The channel of a row, when it still exists in that life and matches. */
  matchingNo(filter: Filter, channelNo: number): C | undefined;
  /** Kept messages above `seq`, oldest first. */
  after(channel: C, seq: number): Iterator<Message>;
  /** Kept messages, newest first. */
  backwards(channel: C): Iterator<Message>;
  /** The kept message at this place. */
  at(channel: C, seq: number, offset: number): Message | undefined;
  /** The first kept message published at or after `timeMs`, taking it that times grow. */
  since(channel: C, timeMs: number): Message | undefined;
  /** Where matching channels were trimmed or deleted beyond `seq`, in the order of seq. */
  trimPointsAfter(filter: Filter, seq: number): readonly TrimPoint[];
  /** Whether a matching channel was ever trimmed or deleted. */
  hasTrimPoint(filter: Filter): boolean;
  /** The newest trim point of one channel, also of one that is no more. */
  trimPointOf(name: string): TrimPoint | undefined;
}
