import { EverywireError, type Position, type Filter, type Start } from '@everywire/protocol';
import { Leases } from '../../core/cluster/leases.ts';
import { createSingleNode } from '../../core/cluster/single-node.ts';
import { StaleWrite } from '../../core/cluster/stale-write.ts';
import type { Clock, Random } from '../../core/clock.ts';
import type { Limits } from '../../core/limits.ts';
import { type Draft, estimateBytes, Message, type Place } from '../../core/log/message.ts';
import type { Cluster } from '../../core/seams/cluster.ts';
import type {
  Appended,
  AppendOptions,
  ChannelInfo,
  Entry,
  Feed,
  Health,
  Page,
  PageLimit,
  Placement,
  RecordStore,
  RetainedPage,
  Retention,
  Store,
  StoreTraits,
  StoreUsage,
} from '../../core/seams/store.ts';
import { doHold } from '../conditions.ts';
import { conflict, fingerprint, ownDraft, Tags } from '../drafts.ts';
import { EpochHistory, newEpoch } from '../epoch-history.ts';
import { fitting, refusalFor, type Holdings, type StoreQuotas } from '../quotas.ts';
import { Reader } from '../reader.ts';
import { RetainedIndex } from '../retained-index.ts';
import { Catalogue } from './catalogue.ts';
import type { ChannelLog } from './channel-log.ts';
import { MemoryRecords } from './records.ts';
import { SeqIndex } from './seq-index.ts';
import { MemoryView } from './view.ts';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: StoreQuotas & Pick<Limits, 'publishIdAgeMsMax' | 'publishIdsMax'>;
  /** How many seqs are remembered beyond their messages; 20 bytes each. */
  readonly seqsRememberedMax?: number;
}

/**
 * Keeps everything in this process and nothing beyond it. For development, tests, and data that need not survive the
 * process.
 */
export function createMemoryStore(options: MemoryStoreOptions): Store {
  return new MemoryStore(options);
}

/** A step of the store, and its waiting caller. Steps run one after the other in a microtask, never inside a caller. */
type Step = () => void;

class MemoryStore implements Store {
  readonly traits: StoreTraits = { durable: false, writers: 'one', feed: 'complete' };
  readonly records: RecordStore;
  readonly cluster: Cluster;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #limits: MemoryStoreOptions['limits'];
  readonly #tags: Tags;
  readonly #catalogue = new Catalogue();
  readonly #index: SeqIndex;
  readonly #epoch: string;
  readonly #view: MemoryView;
  readonly #reader: Reader<ChannelLog>;
  readonly #rows: MemoryRecords;
  readonly #steps: Step[] = [];
  readonly #holdings: Holdings;
  #retainedCount = 0;
  readonly #retained = new RetainedIndex();
  #feed: Feed | undefined;

  constructor({ clock, random, limits, seqsRememberedMax = 1_000_000 }: MemoryStoreOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#limits = limits;
    this.#tags = new Tags(random);
    this.#index = new SeqIndex(seqsRememberedMax);
    this.#epoch = newEpoch(random);
    const leases = new Leases(this.#epoch);
    this.#rows = new MemoryRecords((name) => leases.tokenOf(name));
    this.records = {
      get: (table, key) => this.#rows.get(table, key),
      list: (...args) => this.#rows.list(...args),
      // In one order with appends and leases, as conditions need it.
      write: async (writes, conditions) => {
        await this.#step(() => this.#rows.write(writes, conditions));
      },
    };
    this.cluster = createSingleNode({
      node: this.#epoch,
      clock,
      commit: (work) =>
        this.#step(() => {
          const changes = leases.begin();
          const result = work(changes);
          leases.apply(changes);
          return result;
        }),
    });
    const history = new EpochHistory([{ epoch: this.#epoch, firstSeq: 1 }]);
    this.#view = new MemoryView(this.#catalogue, this.#index, history);
    this.#reader = new Reader(this.#view);
    const catalogue = this.#catalogue;
    const retained = (): number => this.#retainedCount;
    this.#holdings = {
      get channels() {
        return catalogue.size;
      },
      get retained() {
        return retained();
      },
      hasChannel: (name) => catalogue.get(name) !== undefined,
      hasRetained: (name) => catalogue.get(name)?.retained !== undefined,
    };
  }

  async open(feed: Feed): Promise<void> {
    this.#feed = feed;
  }

  async close(): Promise<void> {
    if (this.#feed === undefined) return;
    await this.#step(() => undefined);
    this.#feed = undefined;
  }

  append(entries: readonly Entry[], options: AppendOptions = {}): Promise<readonly Appended[]> {
    return this.#step((feed) => {
      if (!doHold(options, this.#rows)) return this.#placesBefore(entries);
      const refusal = options.atomic === true ? this.#refusalOf(entries) : undefined;
      if (refusal !== undefined) return entries.map(() => refusal);
      const added: Message[] = [];
      const results = entries.map((entry) => this.#append(entry, added));
      // Before the feed gets it, as if both were one transaction.
      if (options.records !== undefined && !results.some((result) => result instanceof EverywireError))
        this.#rows.apply(options.records);
      tell(feed, added);
      return results;
    });
  }

  async read(filter: Filter, after: Position, limit: PageLimit): Promise<Page> {
    this.#openFeed();
    return this.#reader.read(filter, after, limit);
  }

  async locate(filter: Filter, start: Start): Promise<Position> {
    this.#openFeed();
    return this.#reader.locate(filter, start);
  }

  async newest(filters: readonly Filter[], limit: PageLimit): Promise<Position> {
    this.#openFeed();
    return this.#reader.newest(filters, limit);
  }

  async hasTrimmed(filter: Filter): Promise<boolean> {
    this.#openFeed();
    return this.#reader.hasTrimmed(filter);
  }

  /** The feed carries everything of this process, so there is nothing to switch on. */
  async follow(): Promise<Position> {
    this.#openFeed();
    return this.#view.head;
  }

  async unfollow(): Promise<void> {
    this.#openFeed();
  }

  async channels(filter: Filter, after: string | undefined, limit: number): Promise<readonly ChannelInfo[]> {
    this.#openFeed();
    return this.#catalogue.list(filter, after, limit).map((log) => ({
      channel: log.name,
      offset: log.offset,
      firstOffset: log.firstOffset,
      epoch: log.epoch,
      bytes: log.bytes,
    }));
  }

  async retained(
    filter: Filter,
    afterSeq: number,
    { messagesMax, bytesMax }: PageLimit,
  ): Promise<RetainedPage> {
    this.#openFeed();
    const messages: Message[] = [];
    let bytes = 0;
    for (const { channel } of this.#retained.after(filter, afterSeq)) {
      const message = this.#catalogue.get(channel)!.retained!;
      bytes += estimateBytes(message);
      if (messages.length >= messagesMax || (messages.length > 0 && bytes > bytesMax))
        return { messages, atEnd: false };
      messages.push(message);
    }
    return { messages, atEnd: true };
  }

  drop(channel: string): Promise<boolean> {
    return this.#step((feed) => {
      const log = this.#catalogue.get(channel);
      if (log === undefined) return false;
      const through = log.newest?.position ?? log.trimPoint!.through;
      this.#retain(log, undefined);
      this.#catalogue.remove(log, {
        channel,
        channelNo: log.no,
        through,
        offset: log.offset,
        earlierSeq: 0,
        reason: 'deleted',
      });
      feed.dropped(channel);
      return true;
    });
  }

  sweep(nowMs: number, retentionOf: (channel: string) => Retention): Promise<void> {
    return this.#step(() => {
      for (const log of this.#catalogue.all()) {
        const oldestMs = nowMs - retentionOf(log.name).ageMsMax;
        log.trim(log.indexOf((message) => message.timeMs >= oldestMs));
        if ((log.retained?.expiresAtMs ?? Infinity) <= nowMs) this.#retain(log, undefined);
        this.#forgetPublishIds(log);
      }
      this.#catalogue.forgetTombstonesThrough(this.#index.floorSeq);
    });
  }

  health(): Health {
    return this.#feed === undefined ? { ok: false, detail: 'The memory store is not open.' } : { ok: true };
  }

  usage(): StoreUsage {
    let bytes = 0;
    for (const log of this.#catalogue.all()) bytes += log.bytes;
    return { channels: this.#catalogue.size, bytes, freeBytes: undefined };
  }

  /** Runs `step` behind all earlier ones; the first of a turn brings the microtask that runs them. */
  #step<T>(step: (feed: Feed) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#steps.push(() => {
        try {
          resolve(step(this.#openFeed()));
        } catch (caught) {
          reject(
            caught instanceof Error ? caught : new Error('A step of the store failed.', { cause: caught }),
          );
        }
      });
      if (this.#steps.length === 1) {
        queueMicrotask(() => {
          // Listeners of the feed may add steps, which then belong to this same run.
          for (let at = 0; at < this.#steps.length; at += 1) this.#steps[at]!();
          this.#steps.length = 0;
        });
      }
    });
  }

  #openFeed(): Feed {
    if (this.#feed === undefined)
      throw new EverywireError('store_unavailable', 'The memory store is not open.');
    return this.#feed;
  }

  #append(entry: Entry, added: Message[]): Appended {
    const { channel, draft, retention } = entry;
    const log = this.#catalogue.get(channel);
    const known = this.#remembered(log, draft);
    if (known !== undefined) return known;
    const isPlain = log !== undefined && draft.retain !== true;
    const stored = isPlain ? draft : fitting(entry, this.#holdings, this.#limits);
    if (stored instanceof EverywireError) return stored;
    const message = this.#add(log ?? this.#addChannel(channel), stored, retention);
    added.push(message);
    return placement(channel, message, false);
  }

  /** Where entries were stored by an earlier call. @throws StaleWrite unless all of them were */
  #placesBefore(entries: readonly Entry[]): readonly Placement[] {
    if (entries.length === 0) throw new StaleWrite();
    return entries.map(({ channel, draft }) => {
      const known = this.#remembered(this.#catalogue.get(channel), draft);
      if (known === undefined || known instanceof EverywireError) throw new StaleWrite();
      return known;
    });
  }

  /** For all or none: refusals are looked for before anything is stored. */
  #refusalOf(entries: readonly Entry[]): EverywireError | undefined {
    if (this.#hasConflict(entries)) return conflict();
    const news = entries.filter(
      ({ channel, draft }) => this.#remembered(this.#catalogue.get(channel), draft) === undefined,
    );
    return refusalFor(news, this.#holdings, this.#limits);
  }

  #hasConflict(entries: readonly Entry[]): boolean {
    const inThisCall = new Map<string, string>();
    for (const { channel, draft } of entries) {
      if (draft.key === undefined) continue;
      const name = `${channel}\n${draft.key}`;
      const mark = fingerprint(draft);
      const known =
        inThisCall.get(name) ?? this.#catalogue.get(channel)?.publishIds.get(draft.key)?.fingerprint;
      if (known !== undefined && known !== mark) return true;
      inThisCall.set(name, mark);
    }
    return false;
  }

  #remembered(log: ChannelLog | undefined, draft: Draft): Appended | undefined {
    if (draft.key === undefined || log === undefined) return undefined;
    const known = log.publishIds.get(draft.key);
    if (known === undefined) return undefined;
    if (known.fingerprint !== fingerprint(draft)) return conflict();
    return placement(log.name, known.message, true);
  }

  #add(log: ChannelLog, draft: Draft, retention: Retention): Message {
    const offset = log.offset + 1;
    const tag = this.#tags.next();
    const seq = this.#index.add(log.no, offset, tag);
    const message = new Message(log.name, { epoch: this.#epoch, seq, offset, tag }, ownDraft(draft));
    log.push(message, retention);
    if (draft.retain === true) this.#retain(log, draft.payload.length === 0 ? undefined : message);
    if (draft.key !== undefined) {
      const { epoch, id, timeMs } = message;
      log.publishIds.set(draft.key, {
        fingerprint: fingerprint(draft),
        // Not the message itself: its payload would live as long as its publish id.
        message: { epoch, seq, offset, tag, id, timeMs },
        rememberedMs: this.#clock.monotonicMs(),
      });
      if (log.publishIds.size > this.#limits.publishIdsMax) {
        log.publishIds.delete(log.publishIds.keys().next().value!);
      }
    }
    return message;
  }

  #retain(log: ChannelLog, message: Message | undefined): void {
    this.#retainedCount += Number(message !== undefined) - Number(log.retained !== undefined);
    log.retained = message;
    if (message === undefined) this.#retained.delete(log.name);
    else this.#retained.set(message);
  }

  #addChannel(name: string): ChannelLog {
    return this.#catalogue.add(name, newEpoch(this.#random));
  }

  #forgetPublishIds(log: ChannelLog): void {
    const oldestMs = this.#clock.monotonicMs() - this.#limits.publishIdAgeMsMax;
    for (const [key, { rememberedMs }] of log.publishIds) {
      if (rememberedMs > oldestMs) break;
      log.publishIds.delete(key);
    }
  }
}

/** In runs of one channel. */
function tell(feed: Feed, messages: readonly Message[]): void {
  let from = 0;
  for (let to = 1; to <= messages.length; to += 1) {
    const { channel } = messages[from]!;
    if (to < messages.length && messages[to]!.channel === channel) continue;
    feed.appended(channel, from === 0 && to === messages.length ? messages : messages.slice(from, to));
    from = to;
  }
}

function placement(
  channel: string,
  message: Place & Pick<Message, 'id' | 'timeMs'>,
  duplicate: boolean,
): Placement {
  const { epoch, seq, offset, tag, id, timeMs } = message;
  return { channel, epoch, seq, offset, tag, id, timeMs, duplicate };
}
