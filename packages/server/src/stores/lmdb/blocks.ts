import { Message } from '../../core/log/message.ts';
import type { EpochHistory } from '../epoch-history.ts';
import type { Database, Row } from './database.ts';
import { channelSeqKey, seqOfChannelKey } from './keys.ts';
import {
  checkRecord,
  crcSeed,
  readHead,
  readRecord,
  type RecordHead,
  seqOfRecord,
  writeRecord,
} from './record.ts';
import type { ChannelState } from './rows.ts';

/** Records are packed into rows of about this size; a larger record has a separate row. */
const blockBytesMax = 64 * 1024;

/** A result of reading a channel: a message, or a hole where records are damaged or missing. */
export type Found = Message | Damage;

export class Damage {
  /** First and last offset that cannot be read; `from` is `undefined` where nothing before it tells. */
  readonly from: number | undefined;
  readonly to: number;

  constructor(from: number | undefined, to: number) {
    this.from = from;
    this.to = to;
  }
}

/** Finds the records of channels. Every record's CRC is checked whenever it is read. */
export class Blocks {
  readonly #database: Database;
  readonly #history: EpochHistory;

  constructor(database: Database, history: EpochHistory) {
    this.#database = database;
    this.#history = history;
  }

  /** Rows of life `no`, from the one that may hold `seq + 1`. */
  *rowsAfter(no: number, seq: number): Generator<Row, void, undefined> {
    const before = this.#database.keys('blocks', {
      from: channelSeqKey(no, seq + 1),
      to: channelSeqKey(no, 0),
      reverse: true,
      limit: 1,
    });
    let from = channelSeqKey(no, 0);
    for (const key of before) from = Buffer.from(key);
    yield* this.#database.range('blocks', { from, to: channelSeqKey(no + 1, 0) });
  }

  /**
   * Messages after `seq` that are not trimmed, up to `throughSeq`. `expected` is the offset that should come first, if
   * known. Rows beyond the newest commit that this process knows of are ignored.
   */
  *after(
    state: ChannelState,
    seq: number,
    throughSeq: number,
    expected: number | undefined,
  ): Generator<Found, void, undefined> {
    const above = Math.max(seq, state.trimmed?.seq ?? 0);
    let next =
      expected ??
      (state.trimmed !== undefined && state.trimmed.seq >= seq ? state.trimmed.offset + 1 : undefined);
    for (const { key, value } of this.rowsAfter(state.no, above)) {
      const firstSeq = seqOfChannelKey(key);
      if (firstSeq > throughSeq) break;
      const epoch = this.#history.epochOf(firstSeq);
      const seed = crcSeed(state.name, state.epoch, epoch);
      for (let at = 0; at < value.length;) {
        const end = checkRecord(value, at, seed);
        // The length may be what is damaged: the rest of the row is lost, and the next row tells how much that was.
        if (end === undefined) break;
        const recordSeq = seqOfRecord(value, at);
        if (recordSeq > throughSeq) return;
        if (recordSeq > above) {
          const message = readRecord(value, at, end, state.name, epoch);
          if (next !== undefined && message.offset > next) yield new Damage(next, message.offset - 1);
          yield message;
          next = message.offset + 1;
        } else {
          // Messages trimmed by the commit that brought them were never written, so the row may end before the trim
          // point.
          next = Math.max(next ?? 0, readHead(value, at).offset + 1);
        }
        at = end;
      }
    }
    const newest = state.newest;
    if (newest.seq > above && newest.seq <= throughSeq && (next ?? 0) <= newest.offset) {
      yield new Damage(next, newest.offset);
    }
  }

  /** Messages that can be read, newest first, up to `throughSeq`. */
  *backwards(state: ChannelState, throughSeq: number): Generator<Message, void, undefined> {
    const rows = this.#database.range('blocks', {
      from: channelSeqKey(state.no, throughSeq),
      to: channelSeqKey(state.no, 0),
      reverse: true,
    });
    const above = state.trimmed?.seq ?? 0;
    for (const { key, value } of rows) {
      const messages = this.#messages(state, seqOfChannelKey(key), value);
      for (let index = messages.length - 1; index >= 0; index -= 1) {
        const message = messages[index]!;
        if (message.seq <= above) return;
        if (message.seq <= throughSeq) yield message;
      }
    }
  }

  /** When the oldest row begins that is still in the file, which may be a trimmed one; `undefined` when it is damaged. */
  oldestTimeMs(state: ChannelState): number | undefined {
    const range = { from: channelSeqKey(state.no, 0), to: channelSeqKey(state.no + 1, 0), limit: 1 };
    for (const { key, value } of this.#database.range('blocks', range)) {
      return this.heads(state, seqOfChannelKey(key), value)[0]?.timeMs;
    }
    return undefined;
  }

  /** The messages of the row that holds `seq`, as far as they can be read; empty when there is no such row. */
  holding(state: ChannelState, seq: number): readonly Message[] {
    // Most often it is the first of its row, which a plain look-up finds at a fifth of the cost.
    const exact = this.#database.get('blocks', channelSeqKey(state.no, seq));
    if (exact !== undefined) return this.#messages(state, seq, exact);
    const range = {
      from: channelSeqKey(state.no, seq),
      to: channelSeqKey(state.no, 0),
      reverse: true,
      limit: 1,
    };
    for (const { key, value } of this.#database.range('blocks', range)) {
      return this.#messages(state, seqOfChannelKey(key), value);
    }
    return [];
  }

  /** The first message published at or after `timeMs`, by bisection over the rows of the channel. */
  since(state: ChannelState, timeMs: number, throughSeq: number): Message | undefined {
    const keys: number[] = [];
    const first = channelSeqKey(state.no, 0);
    for (const key of this.#database.keys('blocks', {
      from: first,
      to: channelSeqKey(state.no, throughSeq + 1),
    })) {
      keys.push(seqOfChannelKey(key));
    }
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#firstHead(state, keys[middle]!)?.timeMs ?? 0) >= timeMs) high = middle;
      else low = middle + 1;
    }
    // The message may be inside the row before the first that begins late enough.
    const startSeq = (keys[low - 1] ?? keys[0] ?? 1) - 1;
    for (const found of this.after(state, Math.max(0, startSeq), throughSeq, undefined)) {
      if (found instanceof Message && found.timeMs >= timeMs) return found;
    }
    return undefined;
  }

  /** Heads of the row that begins at `firstSeq`, as far as it is whole. */
  heads(state: ChannelState, firstSeq: number, value: Buffer): readonly RecordHead[] {
    const seed = crcSeed(state.name, state.epoch, this.#history.epochOf(firstSeq));
    const heads: RecordHead[] = [];
    for (let at = 0; at < value.length;) {
      const end = checkRecord(value, at, seed);
      if (end === undefined) break;
      heads.push(readHead(value, at));
      at = end;
    }
    return heads;
  }

  #firstHead(state: ChannelState, firstSeq: number): RecordHead | undefined {
    const value = this.#database.get('blocks', channelSeqKey(state.no, firstSeq));
    return value && this.heads(state, firstSeq, value)[0];
  }

  #messages(state: ChannelState, firstSeq: number, value: Buffer): readonly Message[] {
    const epoch = this.#history.epochOf(firstSeq);
    const seed = crcSeed(state.name, state.epoch, epoch);
    const messages: Message[] = [];
    for (let at = 0; at < value.length;) {
      const end = checkRecord(value, at, seed);
      if (end === undefined) break;
      messages.push(readRecord(value, at, end, state.name, epoch));
      at = end;
    }
    return messages;
  }
}

/** Packs the messages of one channel and one commit into rows, and hands each over with its first seq. */
export function packBlocks(
  messages: readonly Message[],
  sizes: readonly number[],
  seed: number,
  emit: (firstSeq: number, block: Buffer) => void,
): void {
  for (let from = 0; from < messages.length;) {
    let bytes = sizes[from]!;
    let to = from + 1;
    while (to < messages.length && bytes + sizes[to]! <= blockBytesMax) bytes += sizes[to++]!;
    const block = Buffer.alloc(bytes);
    for (let at = 0, index = from; index < to; index += 1)
      at = writeRecord(block, at, messages[index]!, seed);
    emit(messages[from]!.seq, block);
    from = to;
  }
}
