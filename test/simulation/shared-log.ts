import { noTag, exactFilter, parseFilter } from '@everywire/protocol';
import type { Message } from '../../packages/server/src/core/log/message.ts';
import type { Cluster, NodeInfo } from '../../packages/server/src/core/seams/cluster.ts';
import type { ChannelInfo, Feed, Store } from '../../packages/server/src/core/seams/store.ts';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import type { HistoryChecker } from '../faults/checker/checker.ts';
import { matchesFilter } from '../faults/checker/filters.ts';
import type { Sighting } from '../faults/checker/history.ts';

/** What was appended, told by the log itself rather than by anyone the simulation may lie to. */
export interface Written {
  readonly message: Message;
  /** Which life of its channel. */
  readonly life: string;
}

const everything = parseFilter('**', defaultLimits);
const wholePage = { messagesMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY };

/**
 * The one log under all nodes of a run, a memory store, and the truth about it. Nodes reach it through fronts of their
 * own (`HostileStore`), which are the ones to be late and to lose things.
 */
export class SharedLog implements Feed {
  readonly store: Store;
  readonly written: Written[] = [];
  readonly #checker: HistoryChecker;
  readonly #nowNs: () => number;
  readonly #lives = new Map<string, number>();
  readonly #feeds = new Set<Feed>();
  readonly #nodes: NodeInfo[] = [];

  constructor(store: Store, checker: HistoryChecker, nowNs: () => number) {
    this.store = store;
    this.#checker = checker;
    this.#nowNs = nowNs;
  }

  get headSeq(): number {
    return this.written.at(-1)?.message.seq ?? 0;
  }

  get droppedChannels(): Iterable<string> {
    return this.#lives.keys();
  }

  channels(): Promise<readonly ChannelInfo[]> {
    return this.store.channels(everything, undefined, Number.POSITIVE_INFINITY);
  }

  async start(): Promise<void> {
    await this.store.open(this);
  }

  /** A node without its own front calls this instead of opening the store. */
  async open(feed: Feed): Promise<void> {
    this.addFeed(feed);
  }

  /** The cluster as another node sees it: with the name of that node, and with the leases of all nodes. */
  clusterOfNode(): Cluster {
    const node = `node-${this.#nodes.length + 1}`;
    this.#nodes.push({ node });
    const { cluster } = this.store;
    return {
      node,
      nodes: async () => this.#nodes,
      lease: (name, options) => cluster.lease(name, options),
      nowMs: () => cluster.nowMs(),
    };
  }

  addFeed(feed: Feed): void {
    this.#feeds.add(feed);
  }

  removeFeed(feed: Feed): void {
    this.#feeds.delete(feed);
  }

  appended(channel: string, messages: readonly Message[]): void {
    const life = this.#lifeOf(channel);
    for (const message of messages) {
      this.written[message.seq - 1] = { message, life };
      this.#checker.record({ kind: 'stored', atNs: this.#nowNs(), ...this.sighting(message) });
    }
    for (const feed of this.#feeds) feed.appended(channel, messages);
  }

  interrupted(): void {
    throw new Error('a memory store has nothing to be interrupted');
  }

  dropped(channel: string): void {
    this.#checker.record({ kind: 'dropped', atNs: this.#nowNs(), channel, life: this.#lifeOf(channel) });
    this.#lives.set(channel, (this.#lives.get(channel) ?? 0) + 1);
    for (const feed of this.#feeds) feed.dropped(channel);
  }

  /** A message as its receiver saw it; only the life, which no wire shows, is taken from the truth. */
  sighting(message: Message): Sighting {
    const { channel, offset, epoch, seq, tag } = message;
    return { channel, life: this.lifeAt(seq), offset, epoch, seq, tag, value: message.payload.toString() };
  }

  /** What can be read of `filter` at this instant. */
  async kept(filter: string): Promise<readonly Message[]> {
    const parsed = parseFilter(filter, defaultLimits);
    const [start, page] = await Promise.all([
      this.store.locate(parsed, { kind: 'earliest' }),
      this.store.read(parsed, { epoch: '', seq: 0, tag: noTag }, wholePage),
    ]);
    return page.messages.filter(({ seq }) => seq > start.seq);
  }

  /** How many messages of `filter` were ever written after `seq`. */
  countAfter(seq: number, filter: string): number {
    return this.written.slice(seq).filter(({ message }) => matchesFilter(filter, message.channel)).length;
  }

  lifeAt(seq: number): string {
    return this.written[seq - 1]?.life ?? 'never';
  }

  /** Reads everything, channel by channel and as one, for the judge. */
  async readAll(): Promise<void> {
    const { store } = this;
    const origin = await store.locate(everything, { kind: 'earliest' });
    const infos: readonly ChannelInfo[] = await store.channels(
      everything,
      undefined,
      Number.POSITIVE_INFINITY,
    );
    for (const { channel, firstOffset } of infos) {
      const filter = exactFilter(channel);
      const start = await store.locate(filter, { kind: 'earliest' });
      const page = await store.read(filter, start, wholePage);
      this.#checker.finalRead({
        channel,
        life: this.#lifeOf(channel),
        trimmedThrough: firstOffset - 1,
        messages: page.messages.map((message) => this.sighting(message)),
      });
    }
    const page = await store.read(everything, origin, wholePage);
    this.#checker.finalReadOfAll(page.messages.map((message) => this.sighting(message)));
  }

  #lifeOf(channel: string): string {
    return String(this.#lives.get(channel) ?? 0);
  }
}
