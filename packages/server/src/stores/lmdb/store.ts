import { EverywireError, type Position, type Filter, type Start } from '@everywire/protocol';
import { Leases } from '../../core/cluster/leases.ts';
import { createSingleNode } from '../../core/cluster/single-node.ts';
import { StaleWrite } from '../../core/cluster/stale-write.ts';
import type { Clock } from '../../core/clock.ts';
import type { Cluster } from '../../core/seams/cluster.ts';
import type {
  Appended,
  AppendOptions,
  ChannelInfo,
  Entry,
  Feed,
  Gap,
  Health,
  Page,
  PageLimit,
  RecordRow,
  RecordStore,
  RetainedPage,
  RecordWrite,
  Retention,
  Store,
  StoreTraits,
  StoreUsage,
  WriteConditions,
} from '../../core/seams/store.ts';
import { CommitLoop } from './commit-loop.ts';
import { hasDamagedHeap, isFull, keyBytesMax, openLmdb, type OpenDatabase } from './database.ts';
import { checkRecordKeys, type CommitBatch } from './commit-batch.ts';
import { isShortOfRoom, type OpenedLog, type OpenedLogOptions } from './opened-log.ts';
import { openFolder, openLog, type OpeningOptions } from './opening.ts';
import { getRecord, listRecords } from './records.ts';
import { purgeDeleted, sweepChannels, sweepRetained, type CurrentLog } from './sweep.ts';

export interface LmdbStoreOptions extends Omit<OpenedLogOptions, 'seqsRememberedMax' | 'leases'> {
  /** The data folder; made when it is not there. */
  readonly path: string;
  readonly seqsRememberedMax?: number;
  /** Called when this process must end, because only a new one can be trusted with the file; the store stays failed. */
  readonly onFatal?: (error: unknown) => void;
  /** How the file is opened; tests put a faulty one in. */
  readonly openDatabase?: OpenDatabase;
}

/** The embedded store: one LMDB file, flushed before anything is acknowledged or shown. */
export function createLmdbStore(options: LmdbStoreOptions): Store {
  return new LmdbStore(options);
}

const reopenDelayMsMin = 100;
const reopenDelayMsMax = 5_000;
/** After a commit for which there was no room, publishes are refused for so long without trying the disk again. */
const fullForMs = 250;

class LmdbStore implements Store {
  readonly traits: StoreTraits = { durable: true, writers: 'one', feed: 'complete' };
  readonly records: RecordStore;
  readonly cluster: Cluster;
  readonly #options: LmdbStoreOptions;
  readonly #clock: Clock;
  readonly #loop: CommitLoop<CommitBatch>;
  readonly #opening: OpeningOptions;
  #unlock: (() => void) | undefined;
  #feed: Feed | undefined;
  #opened: OpenedLog | undefined;
  /** Why nothing is accepted. */
  #failure: string | undefined;
  #fullUntilMs = -Infinity;
  #isFull = false;
  #usage: StoreUsage = { channels: 0, bytes: 0, freeBytes: 0 };
  /** Where the next sweep resumes. */
  #sweptThrough: string | undefined;

  constructor(options: LmdbStoreOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#loop = new CommitLoop<CommitBatch>(
      {
        begin: () => this.#begin(),
        store: (batch) => this.#log.store(batch),
        show: (batch) => this.#show(batch),
        failed: (caught) => this.#failed(caught),
      },
      options.clock,
    );
    this.records = {
      get: async (table, key) => getRecord(this.#log.database, table, key),
      write: async (writes, conditions = {}) => {
        await this.#write(writes, conditions);
      },
      list: async (table, prefix, after, limit): Promise<readonly RecordRow[]> =>
        listRecords(this.#log.database, table, prefix, after, limit),
    };
    const node = options.random.hex(8);
    const { openDatabase = openLmdb, seqsRememberedMax = 4_000_000 } = options;
    this.#opening = { ...options, openDatabase, seqsRememberedMax, leases: new Leases(node) };
    this.cluster = createSingleNode({
      node,
      clock: options.clock,
      // No bytes: a commit of leases alone has nothing to flush.
      commit: async (work) => this.#submit(0, (batch) => work(batch.leases)),
    });
  }

  async open(feed: Feed): Promise<void> {
    const { opened, unlock } = await openFolder(this.#opening);
    this.#opened = opened;
    this.#unlock = unlock;
    this.#feed = feed;
  }

  async close(): Promise<void> {
    if (this.#feed === undefined) return;
    // A publisher may append again when its last commit is answered.
    while (this.#loop.isRunning) await this.#loop.idle();
    this.#feed = undefined;
    const opened = this.#opened;
    this.#opened = undefined;
    await opened?.close();
    this.#unlock?.();
    this.#unlock = undefined;
  }

  async append(entries: readonly Entry[], options: AppendOptions = {}): Promise<readonly Appended[]> {
    checkRecordKeys([...(options.records ?? []), ...(options.guards ?? [])], keyBytesMax);
    let bytes = 0;
    for (const { draft } of entries) bytes += draft.payload.length + 200;
    const full = this.#refusal();
    if (full !== undefined) return entries.map(() => full);
    try {
      return await this.#submit(bytes, (batch) => batch.append(entries, options));
    } catch (caught) {
      // Definitely not stored: that is an answer for each entry, not a failure of the call.
      if (caught instanceof EverywireError && caught.code === 'store_full') return entries.map(() => caught);
      throw caught;
    }
  }

  async read(filter: Filter, after: Position, limit: PageLimit): Promise<Page> {
    const { view, reader } = this.#log.view();
    const page = reader.read(filter, after, limit);
    if (view.damages.length === 0) return page;
    const next = page.messages[0] === undefined ? page.through : reader.placeBefore(page.messages[0], filter);
    const damaged = view.damages.map(({ channel, damage: { from, to } }): Gap => {
      return { channel, from, to, reason: 'damaged', next };
    });
    this.#options.log.error(
      { filter: filter.text, gaps: damaged },
      'records fail their checksum; run everywire doctor',
    );
    return { ...page, gaps: [...page.gaps, ...damaged] };
  }

  async locate(filter: Filter, start: Start): Promise<Position> {
    return this.#log.view().reader.locate(filter, start);
  }

  async newest(filters: readonly Filter[], limit: PageLimit): Promise<Position> {
    return this.#log.view().reader.newest(filters, limit);
  }

  async hasTrimmed(filter: Filter): Promise<boolean> {
    return this.#log.view().reader.hasTrimmed(filter);
  }

  /** The feed carries everything of this process, so there is nothing to switch on. */
  async follow(): Promise<Position> {
    return this.#log.head;
  }

  async unfollow(): Promise<void> {
    this.#assertOpen();
  }

  async channels(filter: Filter, after: string | undefined, limit: number): Promise<readonly ChannelInfo[]> {
    const found: ChannelInfo[] = [];
    if (limit <= 0) return found;
    for (const { name, newest, trimmed, epoch, bytes } of this.#log.channels.list(filter, after)) {
      found.push({
        channel: name,
        offset: newest.offset,
        firstOffset: (trimmed?.offset ?? 0) + 1,
        epoch,
        bytes,
      });
      if (found.length >= limit) break;
    }
    return found;
  }

  async retained(filter: Filter, afterSeq: number, limit: PageLimit): Promise<RetainedPage> {
    return this.#log.retained.page(filter, afterSeq, limit);
  }

  async drop(channel: string): Promise<boolean> {
    const wasThere = await this.#submit(0, (batch) => batch.drop(channel));
    // Otherwise publishes would be refused until the next sweep.
    if (wasThere && isShortOfRoom(this.#log.database)) await this.#freePages();
    return wasThere;
  }

  async sweep(nowMs: number, retentionOf: (channel: string) => Retention): Promise<void> {
    const submit = (work: (batch: CommitBatch) => void): Promise<void> => this.#submit(0, work);
    const log = this.#currentLog();
    // First what frees most: on a full disk the others need room.
    await purgeDeleted(log, submit);
    this.#sweptThrough = await sweepChannels(log, nowMs, retentionOf, submit, this.#sweptThrough);
    await sweepRetained(log, nowMs, submit);
  }

  health(): Health {
    if (this.#failure !== undefined) return { ok: false, detail: this.#failure };
    if (this.#feed === undefined) return { ok: false, detail: 'The store is not open.' };
    if (!this.#isFull) return { ok: true };
    return {
      ok: true,
      detail: `The disk has no space left for ${this.#options.path}: publishes are refused, reading continues. Free some space.`,
    };
  }

  usage(): StoreUsage {
    // While it is opened again after a failure, the last figures hold.
    const opened = this.#opened;
    if (opened === undefined) return this.#usage;
    const { channels, database } = opened;
    const freeBytes = database.freeBytes() + database.reusableBytes();
    this.#usage = { channels: channels.liveCount, bytes: database.fileBytes(), freeBytes };
    return this.#usage;
  }

  get #log(): OpenedLog {
    this.#assertOpen();
    if (this.#opened === undefined) {
      throw new EverywireError('store_unavailable', 'The store is being opened again after a failure.');
    }
    return this.#opened;
  }

  #currentLog(): CurrentLog {
    const log = this.#log;
    return () => {
      if (this.#log === log) return log;
      throw new EverywireError('store_unavailable', 'The store was opened again during this sweep.');
    };
  }

  #assertOpen(): void {
    if (this.#feed === undefined) throw new EverywireError('store_unavailable', 'The store is not open.');
  }

  #assertSound(): void {
    if (this.#failure === undefined) return;
    throw new EverywireError(
      'store_unavailable',
      'The store failed and accepts nothing until it was checked.',
      { retryAfterMs: reopenDelayMsMax },
    );
  }

  async #write(writes: readonly RecordWrite[], conditions: WriteConditions): Promise<void> {
    checkRecordKeys([...writes, ...(conditions.guards ?? [])], keyBytesMax);
    let bytes = 0;
    for (const { value } of writes) bytes += 100 + (value?.length ?? 0);
    const full = this.#refusal();
    if (full !== undefined) throw full;
    await this.#submit(bytes, (batch) => batch.writeRecords(writes, conditions));
  }

  /** Tasks that waited when a commit failed must not be tried: LMDB would take them as if nothing had happened. */
  #begin(): CommitBatch {
    this.#assertSound();
    return this.#log.begin();
  }

  #submit<T>(bytes: number, work: (batch: CommitBatch) => T): Promise<T> {
    this.#assertOpen();
    this.#assertSound();
    return new Promise<T>((resolve, reject) => {
      this.#loop.add({
        bytes,
        run: (batch) => {
          try {
            const result = work(batch);
            return () => resolve(result);
          } catch (caught) {
            if (!(caught instanceof StaleWrite)) throw caught;
            // It may be stale for what this commit writes, which is not known before the commit is durable.
            return () => reject(caught);
          }
        },
        reject,
      });
    });
  }

  /** The channel is deleted, whether its pages can be freed now or by the next sweep. */
  async #freePages(): Promise<void> {
    try {
      await purgeDeleted(this.#currentLog(), (work) => this.#submit(0, work));
      this.#fullUntilMs = -Infinity;
    } catch (caught) {
      this.#options.log.warn({ err: caught }, 'the pages of a deleted channel are not free yet');
    }
  }

  #refusal(): EverywireError | undefined {
    return this.#isFull && this.#clock.monotonicMs() < this.#fullUntilMs ? storeFull() : undefined;
  }

  #show(batch: CommitBatch): void {
    this.#log.show(batch);
    this.#isFull = false;
    try {
      if (this.#feed !== undefined) batch.tell(this.#feed);
    } catch (caught) {
      this.#options.log.error(
        { err: caught },
        'a listener of the feed threw; the messages are stored all the same',
      );
    }
  }

  /** No room is a refusal, when nothing of it is in the file. Everything else is final for this opening. */
  #failed(caught: unknown): EverywireError {
    const opened = this.#opened;
    if (hasDamagedHeap(caught)) return this.#fatal(caught);
    if (isFull(caught, this.#options.path) && opened !== undefined && this.#isUnchanged(opened)) {
      if (!this.#isFull)
        this.#options.log.error({ err: caught }, 'the store has no room; publishes are refused');
      this.#isFull = true;
      this.#fullUntilMs = this.#clock.monotonicMs() + fullForMs;
      return storeFull();
    }
    if (this.#failure === undefined) {
      this.#failure =
        `A commit to ${this.#options.path} failed (${caught instanceof Error ? caught.message : String(caught)}). ` +
        'Publishes are refused until the store was opened again and checked. Check the disk.';
      this.#options.log.error(
        { err: caught },
        'a commit failed; the store accepts nothing until it is reopened',
      );
      void this.#reopen();
    }
    return new EverywireError(
      'store_unavailable',
      'The store failed; it is unknown whether this was stored.',
      {
        cause: caught,
        retryAfterMs: reopenDelayMsMin,
      },
    );
  }

  /** Not opened again: lmdb has damaged the memory of this process. */
  #fatal(caught: unknown): EverywireError {
    this.#failure =
      `The disk of ${this.#options.path} failed, and this process must not continue. ` +
      'Restart the server; acknowledged messages are safe.';
    this.#options.log.error({ err: caught }, 'a page could not be written; this process must be restarted');
    this.#options.onFatal?.(caught);
    return new EverywireError(
      'store_unavailable',
      'The store failed; it is unknown whether this was stored.',
      {
        cause: caught,
      },
    );
  }

  #isUnchanged(opened: OpenedLog): boolean {
    try {
      return opened.storedHeadSeq === opened.head.seq;
    } catch (caught) {
      this.#options.log.error({ err: caught }, 'the store cannot be read after a failed commit');
      return false;
    }
  }

  /** Never throws: tries until it works or the store is closed. */
  async #reopen(): Promise<void> {
    for (
      let delayMs = reopenDelayMsMin;
      this.#feed !== undefined;
      delayMs = Math.min(2 * delayMs, reopenDelayMsMax)
    ) {
      const waitMs = delayMs;
      await new Promise<void>((resolve) => this.#clock.after(waitMs, resolve));
      try {
        const failed = this.#opened;
        this.#opened = undefined;
        await failed?.close();
        const opened = await openLog(this.#opening);
        if (this.#isClosed()) {
          await opened.close();
          return;
        }
        this.#opened = opened;
        this.#failure = undefined;
        this.#options.log.info({ head: opened.head.seq }, 'the store was opened again and checked');
        // A doubtful commit may be in the log after all.
        this.#feed.interrupted();
        return;
      } catch (caught) {
        this.#options.log.error({ err: caught }, 'the store cannot be opened again yet');
      }
    }
  }

  #isClosed(): boolean {
    return this.#feed === undefined;
  }
}

function storeFull(): EverywireError {
  return new EverywireError('store_full', 'The disk of the store is full; nothing was stored.', {
    retryAfterMs: fullForMs,
  });
}
