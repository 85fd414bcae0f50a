import { EverywireError, type Position, matches, type Filter, type Start } from '@everywire/protocol';
import type { Cluster } from '../../packages/server/src/core/seams/cluster.ts';
import type {
  Appended,
  AppendOptions,
  ChannelInfo,
  Entry,
  Feed,
  Health,
  Page,
  PageLimit,
  RecordStore,
  RetainedPage,
  Retention,
  Store,
  StoreTraits,
  StoreUsage,
} from '../../packages/server/src/core/seams/store.ts';
import type { Chance } from './chance.ts';
import type { SharedLog } from './shared-log.ts';
import type { VirtualTime } from './virtual-time.ts';

/** How bad it is. Delays are the longest; each is drawn anew. */
export interface Hostility {
  readonly readDelayMs: number;
  readonly appendDelayMs: number;
  readonly feedDelayMs: number;
  /** How long a deaf feed may take to say so. */
  readonly deafMs: number;
  /** Chances per call. */
  readonly readFails: number;
  readonly appendFails: number;
  readonly feedGoesDeaf: number;
  /** An interruption without any loss. */
  readonly falseAlarm: number;
}

const calm: Hostility = {
  readDelayMs: 2,
  appendDelayMs: 2,
  feedDelayMs: 2,
  deafMs: 0,
  readFails: 0,
  appendFails: 0,
  feedGoesDeaf: 0,
  falseAlarm: 0,
};

/**
 * One node's front of the shared log, as bad as the contract of `Store` allows a shared store to be: reads take their
 * time and fail, appends answer late or never say what became of them, and the feed is late, goes deaf, and tells of it
 * only afterwards.
 */
export class HostileStore implements Store {
  readonly traits: StoreTraits = { durable: false, writers: 'many', feed: 'lossy' };
  readonly records: RecordStore;
  readonly cluster: Cluster;
  readonly #log: SharedLog;
  readonly #time: VirtualTime;
  readonly #chance: Chance;
  readonly #hostility: Hostility;
  #now: Hostility = calm;
  #feed: Feed | undefined;
  /** As often as it was followed and not unfollowed. */
  readonly #following: Filter[] = [];
  /** The feed's calls come in order: none before this instant. */
  #feedBusyUntilMs = 0;
  #isDeaf = false;
  readonly #unheardDeletions = new Set<string>();

  constructor(log: SharedLog, time: VirtualTime, chance: Chance, hostility: Hostility) {
    this.#log = log;
    this.#time = time;
    this.#chance = chance;
    this.#hostility = hostility;
    this.records = log.store.records;
    this.cluster = log.clusterOfNode();
  }

  /** It begins calm, so that a hub can start on it. */
  turnHostile(): void {
    this.#now = this.#hostility;
  }

  calmDown(): void {
    this.#now = calm;
  }

  async open(feed: Feed): Promise<void> {
    this.#feed = feed;
    this.#log.addFeed(this.#tap);
  }

  async close(): Promise<void> {
    this.#log.removeFeed(this.#tap);
    this.#feed = undefined;
  }

  async append(entries: readonly Entry[], options?: AppendOptions): Promise<readonly Appended[]> {
    const { appendDelayMs, appendFails } = this.#now;
    await this.#sleep(appendDelayMs);
    if (this.#chance.happens(appendFails)) throw unavailable('before it appended');
    const appended = await this.#log.store.append(entries, options);
    await this.#sleep(appendDelayMs);
    if (this.#chance.happens(appendFails)) throw unavailable('after it appended');
    return appended;
  }

  async read(filter: Filter, after: Position, limit: PageLimit): Promise<Page> {
    return this.#slowly(() => this.#log.store.read(filter, after, limit));
  }

  async locate(filter: Filter, start: Start): Promise<Position> {
    return this.#slowly(() => this.#log.store.locate(filter, start));
  }

  async newest(filters: readonly Filter[], limit: PageLimit): Promise<Position> {
    return this.#slowly(() => this.#log.store.newest(filters, limit));
  }

  async hasTrimmed(filter: Filter): Promise<boolean> {
    return this.#slowly(() => this.#log.store.hasTrimmed(filter));
  }

  async follow(filter: Filter): Promise<Position> {
    // The feed may carry the filter before this call returns. It must carry it from the returned position on.
    this.#following.push(filter);
    return this.#slowly(() => this.#log.store.follow(filter));
  }

  async unfollow(filter: Filter): Promise<void> {
    await this.#sleep(this.#now.readDelayMs);
    this.#following.splice(
      this.#following.findIndex(({ text }) => text === filter.text),
      1,
    );
  }

  async channels(filter: Filter, after: string | undefined, limit: number): Promise<readonly ChannelInfo[]> {
    return this.#slowly(() => this.#log.store.channels(filter, after, limit));
  }

  async retained(filter: Filter, afterSeq: number, limit: PageLimit): Promise<RetainedPage> {
    return this.#slowly(() => this.#log.store.retained(filter, afterSeq, limit));
  }

  async drop(channel: string): Promise<boolean> {
    await this.#sleep(this.#now.appendDelayMs);
    return this.#log.store.drop(channel);
  }

  async sweep(nowMs: number, retentionOf: (channel: string) => Retention): Promise<void> {
    await this.#sleep(this.#now.appendDelayMs);
    await this.#log.store.sweep(nowMs, retentionOf);
  }

  health(): Health {
    return { ok: true };
  }

  usage(): StoreUsage {
    return { channels: 0, bytes: 0, freeBytes: undefined };
  }

  readonly #tap: Feed = {
    appended: (channel, messages) => {
      // The feed may also carry messages that no filter follows.
      const isFollowed = this.#following.some((filter) => matches(filter, channel));
      if (!isFollowed && !this.#chance.happens(0.2)) return;
      if (this.#unheardDeletions.has(channel)) return;
      if (messages.length > 1 && this.#chance.happens(0.3)) {
        const half = this.#chance.between(1, messages.length - 1);
        this.#carry((feed) => feed.appended(channel, messages.slice(0, half)));
        this.#carry((feed) => feed.appended(channel, messages.slice(half)));
      } else {
        this.#carry((feed) => feed.appended(channel, messages));
      }
    },
    interrupted: () => {
      this.#carry((feed) => feed.interrupted());
    },
    dropped: (channel) => {
      // A message does not show which life of its channel it belongs to. If the feed lost a deletion and then reported the
      // next life, its offsets could follow the old ones by coincidence, and no reader could see that some are missing. So
      // a store that loses a deletion must not report the channel until it has reported that it lost events.
      if (!this.#carry((feed) => feed.dropped(channel))) this.#unheardDeletions.add(channel);
    },
  };

  /** False when it was lost. */
  #carry(call: (feed: Feed) => void): boolean {
    if (!this.#isDeaf && this.#chance.happens(this.#now.feedGoesDeaf)) this.#goDeaf();
    if (this.#isDeaf) return false;
    this.#callLater(call);
    if (this.#chance.happens(this.#now.falseAlarm)) this.#callLater((feed) => feed.interrupted());
    return true;
  }

  #callLater(call: (feed: Feed) => void): void {
    const nowMs = this.#time.monotonicMs();
    const atMs = Math.max(this.#feedBusyUntilMs, nowMs + this.#chance.below(this.#now.feedDelayMs + 1));
    // A hair later than the call before, since events of one instant come in any order.
    this.#feedBusyUntilMs = atMs + 0.001;
    this.#time.after(atMs - nowMs, () => {
      if (this.#feed !== undefined) call(this.#feed);
    });
  }

  /** Drops calls for a while, hears again, and only then, or later, says that something may have been missed. */
  #goDeaf(): void {
    this.#isDeaf = true;
    const deafMs = this.#chance.below(this.#now.deafMs + 1);
    this.#time.after(deafMs, () => {
      this.#isDeaf = false;
      this.#time.after(this.#chance.below(this.#now.deafMs + 1), () => {
        this.#unheardDeletions.clear();
        this.#feed?.interrupted();
      });
    });
  }

  async #slowly<T>(ask: () => Promise<T>): Promise<T> {
    const { readDelayMs, readFails } = this.#now;
    await this.#sleep(readDelayMs);
    if (this.#chance.happens(readFails)) throw unavailable('while it read');
    const answer = await ask();
    await this.#sleep(readDelayMs);
    return answer;
  }

  #sleep(longestMs: number): Promise<void> {
    return this.#time.sleep(this.#chance.below(longestMs + 1));
  }
}

function unavailable(when: string): EverywireError {
  return new EverywireError('store_unavailable', `The store went away ${when}.`);
}
