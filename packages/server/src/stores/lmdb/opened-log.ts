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
  readonly #options: OpenedLogOptions;
  readonly #history: EpochHistory;
  readonly #tags: Tags;
  #head: Position;
  #nextChannelNo: number;

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
    this.#tags = new Tags(options.random);
    const newest = this.segments.newest();
    this.channels = new Channels(database, history, options.log, newest?.seq ?? 0);
    this.#head =
      newest === undefined
        ? { epoch: history.origin.epoch, seq: 0, tag: noTag }
        : { epoch: history.epochOf(newest.seq), ...newest };
    this.#nextChannelNo = unusedChannelNo(database);
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
    checkRoom(this.database.freeBytes(), writes, batch.newest !== undefined);
    await this.database.commit(writes);
  }

  /** What `batch` says is the log from now on. */
  show(batch: CommitBatch): void {
    if (batch.newest !== undefined) this.#head = batch.newest.position;
    this.#nextChannelNo = batch.nextChannelNo;
    this.#options.leases.apply(batch.leases);
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

/** Left free by publishes, so that deleting, which frees space, still has room to work. */
const reservedBytes = 512 * 1024;
const pageBytes = 4096;

/**
 * Refuses what might not fit before LMDB begins to write it: a page that cannot be written can cost the process (see
 * `hasDamagedHeap`). Each row may copy its leaf, and the branches above are few.
 * @throws Error with the code ENOSPC
 */
function checkRoom(freeBytes: number, writes: readonly Write[], isPublish: boolean): void {
  let neededBytes = isPublish ? reservedBytes : 0;
  for (const { value } of writes) neededBytes += pageBytes + (value?.length ?? 0);
  if (freeBytes >= neededBytes) return;
  throw Object.assign(new Error(`There are ${freeBytes} bytes free, and up to ${neededBytes} are needed.`), {
    code: 'ENOSPC',
  });
}

/** Numbers are given out in order, and the newest one is kept as long as nothing newer is there. */
function unusedChannelNo(database: Database): number {
  const highest = Buffer.alloc(4, 0xff);
  for (const key of database.keys('numbers', { from: highest, to: numberKey(0), reverse: true, limit: 1 })) {
    return numberOfKey(key) + 1;
  }
  return 1;
}
