import { noTag, type Position } from '@everywire/protocol';
import type { Clock, Random } from '../../core/clock.ts';
import type { Leases } from '../../core/cluster/leases.ts';
import type { Log } from '../../core/seams/log.ts';
import { Tags } from '../drafts.ts';
import { type EpochStart, EpochHistory, newEpoch } from '../epoch-history.ts';
import { Reader } from '../reader.ts';
import { Blocks } from './blocks.ts';
import { type Channel, Channels } from './channels.ts';
import type { Database, Write } from './database.ts';
import type { BatchBase } from './channel-draft.ts';
import { CommitBatch } from './commit-batch.ts';
import { numberKey, numberOfKey } from './keys.ts';
import { Retained } from './retained.ts';
import { decodeEpochs, encodeEpochs, seal, unseal } from './rows.ts';
import { Segments } from './segments.ts';
import { LmdbView } from './view.ts';

export interface OpenedLogOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: BatchBase['limits'];
  readonly log: Log;
  readonly leases: Leases;
  /** How many seqs are remembered beyond their messages. */
  readonly seqsRememberedMax: number;
}

/** Twice, because without it no record could be read: their checksums are bound to their epochs. */
const epochKeys = [Buffer.from('lineage/1'), Buffer.from('lineage/2')];

/**
 * One opening of the log by its writer, which is one epoch: the committed state, and how batches are made and shown.
 * After a failure it is thrown away and another one is opened from the file.
 */
export class OpenedLog {
  readonly database: Database;
  readonly channels: Channels;
  readonly segments: Segments;
  readonly blocks: Blocks;
  readonly retained: Retained;
  readonly #options: OpenedLogOptions;
  readonly #history: EpochHistory;
  readonly #tags: Tags;
  #head: Position;
  #nextChannelNo: number;
  #isClosed = false;
  /** As much of the file as was free when LMDB could not use it. */
  #fragmentedBytes = 0;

  /** Begins a new epoch, durably, before anything is read or written. */
  static async open(database: Database, options: OpenedLogOptions): Promise<OpenedLog> {
    const starts = readEpochs(database, (text) => options.log.error({}, text));
    const headSeq = new Segments(database, options.seqsRememberedMax).newest()?.seq ?? 0;
    const epoch = newEpoch(options.random, (taken) => starts.some((start) => start.epoch === taken));
    const history = new EpochHistory([...starts, { epoch, firstSeq: headSeq + 1 }]);
    const content = encodeEpochs(history.starts);
    await database.commit(epochKeys.map((key) => ({ table: 'meta', key, value: seal(key, content) })));
    return new OpenedLog(database, history, options);
  }

  private constructor(database: Database, history: EpochHistory, options: OpenedLogOptions) {
    this.database = database;
    this.#history = history;
    this.#options = options;
    this.segments = new Segments(database, options.seqsRememberedMax);
    this.blocks = new Blocks(database, history);
    this.retained = new Retained(this, options.log);
    this.#tags = new Tags(options.random);
    const newest = this.segments.newest();
    this.channels = new Channels(database, history, options.log, newest?.seq ?? 0);
    this.#head =
      newest === undefined
        ? { epoch: history.origin.epoch, seq: 0, tag: noTag }
        : { epoch: history.epochOf(newest.seq), ...newest };
    this.#nextChannelNo = unusedChannelNo(database);
  }

  /** Nothing may read the file afterwards: LMDB may end the process then. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.database.close();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The newest message that is durable and shown. */
  get head(): Position {
    return this.#head;
  }

  /** The value of `head` in the file: it changes after a commit whose outcome is unknown. */
  get storedHeadSeq(): number {
    return this.segments.newest()?.seq ?? 0;
  }

  get history(): EpochHistory {
    return this.#history;
  }

  view(): { readonly view: LmdbView; readonly reader: Reader<Channel> } {
    const view = new LmdbView({
      head: this.#head,
      channels: this.channels,
      blocks: this.blocks,
      segments: this.segments,
    });
    return { view, reader: new Reader(view) };
  }

  begin(): CommitBatch {
    const { clock, random, limits, leases } = this.#options;
    return new CommitBatch({
      database: this.database,
      channels: this.channels,
      blocks: this.blocks,
      epoch: this.#history.current,
      headSeq: this.#head.seq,
      nextChannelNo: this.#nextChannelNo,
      tags: this.#tags,
      random,
      limits,
      leases: leases.begin(),
      nowMs: clock.nowMs(),
    });
  }

  async store(batch: CommitBatch): Promise<void> {
    const writes: Write[] = [...batch.finish()];
    if (writes.length === 0) return;
    this.segments.raiseFloor(this.#head.seq, writes);
    if (batch.newest === undefined) await this.#storeWithin(0, writes);
    else await this.#storeMessages(writes);
  }

  async #storeMessages(writes: readonly Write[]): Promise<void> {
    const { database } = this;
    const neededBytes = bytesOf(writes);
    const leftBytes = database.freeBytes() - neededBytes;
    // The file never gets shorter: what deleting freed is inside it.
    const isReuse =
      leftBytes < reservedBytes + slackBytes &&
      database.reusableBytes() >= 2 * neededBytes + this.#fragmentedBytes;
    if (!isReuse) return this.#storeWithin(reservedBytes + slackBytes, writes);
    const before = { fileBytes: database.fileBytes(), reusableBytes: database.reusableBytes() };
    await this.#storeWithin(reservedBytes, writes);
    // The free pages lie apart, and LMDB has lengthened the file.
    if (database.fileBytes() > before.fileBytes) this.#fragmentedBytes = before.reusableBytes;
  }

  /**
   * Refuses what might not fit before LMDB begins to write it: a page that cannot be written can cost the process (see
   * `hasDamagedHeap`). So the disk must have room for the whole commit, wherever LMDB puts it.
   * @throws Error with the code ENOSPC
   */
  async #storeWithin(keptFreeBytes: number, writes: readonly Write[]): Promise<void> {
    const neededBytes = keptFreeBytes + bytesOf(writes);
    const freeBytes = this.database.freeBytes();
    if (freeBytes >= neededBytes) return this.database.commit(writes);
    throw Object.assign(
      new Error(`There are ${freeBytes} bytes free, and up to ${neededBytes} are needed.`),
      {
        code: 'ENOSPC',
      },
    );
  }

  /** The log has the state of `batch` from now on. */
  show(batch: CommitBatch): void {
    if (batch.newest !== undefined) this.#head = batch.newest.position;
    this.#nextChannelNo = batch.nextChannelNo;
    this.#options.leases.apply(batch.leases);
    this.retained.committed(batch.drafts);
    for (const draft of batch.drafts) {
      if (draft.state === draft.channel?.state) continue;
      this.channels.committed(draft.state, draft.channel?.state).doomed = draft.doomed;
    }
  }
}

/** The epochs so far; `problem` gets the damaged rows. Empty for a new store. */
export function readEpochs(database: Database, problem: (text: string) => void): readonly EpochStart[] {
  for (const key of epochKeys) {
    const row = database.get('meta', key);
    if (row === undefined) continue;
    const content = unseal(key, row);
    if (content !== undefined) return decodeEpochs(content);
    problem(`The copy ${key.toString()} of the history of epochs fails its checksum.`);
  }
  return [];
}

/** Left free on the disk by publishes, so that deleting, which frees pages of the file, still has room to work. */
const reservedBytes = 512 * 1024;
/** Left to publishes that go into free pages of the file: where these lie apart, LMDB lengthens the file after all. */
const slackBytes = 2 * 1024 * 1024;
const pageBytes = 4096;

type Room = Pick<Database, 'freeBytes'>;

/** Rows that one commit may remove: fewer when the disk is nearly full, where each may copy its page. */
export function removableRows(room: Room, rowsMax: number): number {
  return Math.min(rowsMax, Math.max(1, Math.floor(room.freeBytes() / (2 * pageBytes))));
}

/** Whether the disk is nearly full, so that pages of the file must be freed before anything else can be stored. */
export function isShortOfRoom(room: Room): boolean {
  return room.freeBytes() < 2 * (reservedBytes + slackBytes);
}

/** Each row may copy its leaf, and the branches above are few. */
function bytesOf(writes: readonly Write[]): number {
  return writes.reduce((sum, { value }) => sum + pageBytes + (value?.length ?? 0), 0);
}

/** Numbers are given out in order, and the newest one is kept as long as nothing newer is there. */
function unusedChannelNo(database: Database): number {
  const highest = Buffer.alloc(4, 0xff);
  for (const key of database.keys('numbers', { from: highest, to: numberKey(0), reverse: true, limit: 1 })) {
    return numberOfKey(key) + 1;
  }
  return 1;
}
