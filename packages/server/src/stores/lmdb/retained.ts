import { setImmediate as turn } from 'node:timers/promises';
import { epochLength, EverywireError, type Filter } from '@everywire/protocol';
import { estimateBytes, type Message } from '../../core/log/message.ts';
import type { Log } from '../../core/seams/log.ts';
import type { PageLimit, RetainedPage } from '../../core/seams/store.ts';
import type { EpochHistory } from '../epoch-history.ts';
import { RetainedIndex } from '../retained-index.ts';
import type { ChannelDraft } from './channel-draft.ts';
import type { Database } from './database.ts';
import { nameKey, nameOfKey } from './keys.ts';
import { checkRecord, crcSeed, readRecord, seqOfRecord } from './record.ts';

/** Bytes of rows that are read before others get their turn, while the index is made. */
const bytesPerTurn = 1024 * 1024;

/** What reading retained messages needs of the log. */
export interface RetainedSource {
  readonly database: Database;
  readonly history: EpochHistory;
  readonly head: { readonly seq: number };
  /** The file must not be read any more. */
  readonly isClosed: boolean;
}

/** The retained messages of one opening of the log. The first query builds their index from the file. */
export class Retained {
  readonly #source: RetainedSource;
  readonly #log: Log;
  readonly #index = new RetainedIndex();
  #ready: Promise<void> | undefined;

  constructor(source: RetainedSource, log: Log) {
    this.#source = source;
    this.#log = log;
  }

  /** A commit is shown. */
  committed(drafts: Iterable<ChannelDraft>): void {
    // Nothing was read yet: the file has it.
    if (this.#ready === undefined) return;
    for (const { state, retained } of drafts) {
      if (retained === 'removed') this.#index.delete(state.name);
      else if (retained !== undefined) this.#index.set(retained);
    }
  }

  /** A message that the file has and the log does not show yet is left out: it comes by the feed. */
  async page(filter: Filter, afterSeq: number, { messagesMax, bytesMax }: PageLimit): Promise<RetainedPage> {
    await this.#whenReady();
    const { database, history, head } = this.#source;
    const messages: Message[] = [];
    let bytes = 0;
    for (const { channel, seq } of this.#index.after(filter, afterSeq)) {
      if (seq > head.seq) break;
      const row = database.get('retained', nameKey(channel));
      const message = row && decodeRetained(channel, row, history);
      if (row !== undefined && message === undefined)
        this.#log.error({ channel }, 'a retained message fails its checksum');
      if (message?.seq !== seq) continue;
      bytes += estimateBytes(message);
      if (messages.length >= messagesMax || (messages.length > 0 && bytes > bytesMax))
        return { messages, atEnd: false };
      messages.push(message);
    }
    return { messages, atEnd: true };
  }

  /** Retained messages that have expired, without a look at the others. */
  async expired(nowMs: number): Promise<readonly { readonly channel: string; readonly seq: number }[]> {
    await this.#whenReady();
    return this.#index.expired(nowMs);
  }

  /** The row of that message is gone. */
  swept({ channel, seq }: { readonly channel: string; readonly seq: number }): void {
    this.#index.delete(channel, seq);
  }

  async #whenReady(): Promise<void> {
    this.#ready ??= this.#make().catch((cause: unknown) => {
      this.#ready = undefined;
      throw cause;
    });
    await this.#ready;
    this.#checkOpen();
  }

  #checkOpen(): void {
    if (this.#source.isClosed)
      throw new EverywireError('store_unavailable', 'The store was closed meanwhile.');
  }

  async #make(): Promise<void> {
    const { database, history } = this.#source;
    let from: Buffer | undefined;
    for (;;) {
      let bytes = 0;
      let isCut = false;
      for (const { key, value } of database.range('retained', from === undefined ? {} : { from })) {
        if (bytes >= bytesPerTurn) {
          from = Buffer.from(key);
          isCut = true;
          break;
        }
        bytes += value.length;
        const channel = nameOfKey(key);
        const message = decodeRetained(channel, value, history);
        if (message === undefined) this.#log.error({ channel }, 'a retained message fails its checksum');
        else this.#index.set(message);
      }
      if (!isCut) return;
      await turn();
      this.#checkOpen();
    }
  }
}

/** A row is the epoch of the channel's life, then the record. `undefined` when it is damaged. */
export function decodeRetained(name: string, row: Buffer, history: EpochHistory): Message | undefined {
  const record = row.subarray(epochLength);
  if (record.length < 14) return undefined;
  const epoch = history.epochOf(seqOfRecord(record, 0));
  const end = checkRecord(record, 0, crcSeed(name, row.toString('latin1', 0, epochLength), epoch));
  return end === undefined ? undefined : readRecord(record, 0, end, name, epoch);
}
