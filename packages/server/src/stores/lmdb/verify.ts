import { EpochHistory } from '../epoch-history.ts';
import { type Database, openLmdbToRead } from './database.ts';
import { checkFirstPage, explainDamage, missingBytes } from './file-end.ts';
import { checkFormat } from './format.ts';
import { channelSeqKey, nameOfKey, numberKey, readSeqKey, seqOfChannelKey } from './keys.ts';
import { type OpenedLog, readEpochs } from './opened-log.ts';
import { checkRecord, crcSeed, readHead } from './record.ts';
import { decodeRetained } from './retained.ts';
import {
  type ChannelState,
  decodeChannel,
  segmentChannelNo,
  segmentLength,
  segmentTag,
  unseal,
} from './rows.ts';

/** What `verifyStore` found. */
export interface StoreReport {
  readonly channels: number;
  readonly messages: number;
  /** One sentence each; empty when everything is whole. */
  readonly problems: readonly string[];
}

/** Messages at the end of the log that are read again whenever it is opened. */
const tailMessagesMax = 1_000;

/**
 * Reads everything in a data folder: checksums of all rows, offsets without holes, seqs in order, and that what was
 * given out as a place is the message that is there. Changes nothing; a server may be running on the folder.
 * @throws Error when the folder cannot be read at all
 */
export async function verifyStore(path: string): Promise<StoreReport> {
  if (!checkFormat(path)) throw new Error(`There is no store in ${path}.`);
  checkFirstPage(path);
  const cutBytes = missingBytes(path);
  if (cutBytes > 0)
    throw new Error(`The data file in ${path} was cut short: its last ${cutBytes} bytes are missing.`);
  try {
    const database = openLmdbToRead(path);
    try {
      return new Verification(database).run();
    } finally {
      await database.close();
    }
  } catch (caught) {
    throw explainDamage(caught, path);
  }
}

/**
 * Reads the newest messages again, as is due after a crash or a failed flush. Returns the seqs whose message is missing
 * or differs from the delivered one: readers of their channels get a gap notice, and all others continue.
 */
export function checkTail(log: OpenedLog): readonly number[] {
  const { segments, channels, head, database } = log;
  const { view } = log.view();
  const damaged: number[] = [];
  const from = Math.max(segments.floorSeq, head.seq - tailMessagesMax) + 1;
  segments.scan(from, head.seq, (seq, channelNo, offset) => {
    const row = database.get('numbers', numberKey(channelNo));
    const channel = row === undefined ? undefined : channels.get(row.toString());
    if (channel?.state.no !== channelNo || !channel.state.isLive) return true;
    if (offset <= (channel.state.trimmed?.offset ?? 0)) return true;
    if (view.at(channel, seq, offset)?.tag !== segments.row(seq)?.tag) damaged.push(seq);
    return true;
  });
  return damaged;
}

/** One pass over all tables. */
class Verification {
  readonly #database: Database;
  readonly #problems: string[] = [];
  readonly #history: EpochHistory;
  /** Tags of messages that can be read, by seq, to compare with what was given out. */
  readonly #tags = new Map<number, string>();
  #messages = 0;

  constructor(database: Database) {
    this.#database = database;
    const starts = readEpochs(database, (text) => this.#problems.push(text));
    this.#history = new EpochHistory(starts.length > 0 ? starts : [{ epoch: '000000', firstSeq: 1 }]);
  }

  run(): StoreReport {
    let channels = 0;
    for (const { key, value } of this.#database.range('channels', {})) {
      const name = nameOfKey(key);
      const content = unseal(key, value);
      if (content === undefined) {
        this.#problems.push(`The row of channel ${name} fails its checksum.`);
        continue;
      }
      const state = decodeChannel(name, content);
      if (!state.isLive) continue;
      channels += 1;
      this.#channel(state);
    }
    this.#segments();
    this.#sealedRows();
    return { channels, messages: this.#messages, problems: this.#problems };
  }

  #channel(state: ChannelState): void {
    const { name, no, newest, trimmed } = state;
    let offset = trimmed?.offset ?? 0;
    let seq = trimmed?.seq ?? 0;
    const edgeSeq = seq;
    let bytes = 0;
    const range = { from: channelSeqKey(no, 0), to: channelSeqKey(no + 1, 0) };
    for (const { key, value } of this.#database.range('blocks', range)) {
      const firstSeq = seqOfChannelKey(key);
      const seed = crcSeed(name, state.epoch, this.#history.epochOf(firstSeq));
      for (let at = 0; at < value.length;) {
        const end = checkRecord(value, at, seed);
        if (end === undefined) {
          this.#problems.push(`Channel ${name}: a record after offset ${offset} fails its checksum.`);
          break;
        }
        const head = readHead(value, at);
        at = end;
        if (head.seq <= edgeSeq) continue;
        if (head.offset !== offset + 1) {
          this.#problems.push(`Channel ${name}: offset ${offset} is followed by ${head.offset}.`);
        }
        if (head.seq <= seq) this.#problems.push(`Channel ${name}: seq ${seq} is followed by ${head.seq}.`);
        ({ offset, seq } = head);
        bytes += head.payloadBytes;
        this.#messages += 1;
        this.#tags.set(head.seq, head.tag);
      }
    }
    if (offset !== newest.offset) {
      this.#problems.push(`Channel ${name}: it ends at offset ${offset}, and should at ${newest.offset}.`);
    }
    if (bytes !== state.bytes) {
      this.#problems.push(`Channel ${name}: it holds ${bytes} bytes of payload, and says ${state.bytes}.`);
    }
  }

  #segments(): void {
    let expected: number | undefined;
    for (const { key, value } of this.#database.range('segments', {})) {
      const firstSeq = readSeqKey(key);
      if (expected !== undefined && firstSeq !== expected) {
        this.#problems.push(`Seq ${expected - 1} is followed by ${firstSeq}.`);
      }
      const rows = unseal(key, value);
      expected = firstSeq + segmentLength(value.subarray(4));
      if (rows === undefined) {
        this.#problems.push(`The places from seq ${firstSeq} to ${expected - 1} fail their checksum.`);
        continue;
      }
      for (let index = 0; index < segmentLength(rows); index += 1) {
        const tag = this.#tags.get(firstSeq + index);
        if (tag !== undefined && tag !== segmentTag(rows, index)) {
          this.#problems.push(
            `Seq ${firstSeq + index} (channel number ${segmentChannelNo(rows, index)}) names another message.`,
          );
        }
      }
    }
  }

  #sealedRows(): void {
    for (const table of ['publishIds', 'publishLog', 'records', 'meta'] as const) {
      for (const { key, value } of this.#database.range(table, {})) {
        if (unseal(key, value) === undefined) this.#problems.push(`A row of ${table} fails its checksum.`);
      }
    }
    for (const { key, value } of this.#database.range('retained', {})) {
      const name = nameOfKey(key);
      if (decodeRetained(name, value, this.#history) === undefined) {
        this.#problems.push(`The retained message of ${name} fails its checksum.`);
      }
    }
  }
}
