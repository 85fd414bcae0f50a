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
 * A store's log, seen by `Reader`, which knows what positions and gaps mean. None of its methods waits, so one read
 * sees one state of the log.
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
  /** The first kept message published at or after `timeMs`, assuming that times grow. */
  since(channel: C, timeMs: number): Message | undefined;
  /** Where matching channels were trimmed or deleted beyond `seq`, in the order of seq. */
  trimPointsAfter(filter: Filter, seq: number): readonly TrimPoint[];
  /** Whether a matching channel was ever trimmed or deleted. */
  hasTrimPoint(filter: Filter): boolean;
  /** The newest trim point of one channel, also of a deleted one. */
  trimPointOf(name: string): TrimPoint | undefined;
}
