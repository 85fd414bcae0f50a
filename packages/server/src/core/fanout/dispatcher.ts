import { FilterTrie, noTag, type Filter, type Position } from '@everywire/protocol';
import type { Clock } from '../clock.ts';
import type { Limits } from '../limits.ts';
import type { Message } from '../log/message.ts';
import type { Figures } from '../seams/hub-api.ts';
import type { Log } from '../seams/log.ts';
import type { Feed, Store } from '../seams/store.ts';
import { CatchUp } from './catch-up.ts';
import { ChannelFanout, type ChannelFanoutHost } from './channel-fanout.ts';
import type { StartFinder } from './find-start.ts';
import type { MergedBatches } from './merged-batches.ts';
import type { FilterOrder } from './ordered.ts';
import type { LogSubscription } from './subscription.ts';

export interface DispatcherParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly figures: Pick<Figures, 'deliveryTurns' | 'delivering'>;
  readonly limits: Pick<Limits, 'batchBytesMax' | 'pageMessagesMax' | 'pageCacheBytesMax'>;
  /** A sink threw: its peer ends. */
  broken(subscription: LogSubscription, cause: unknown): void;
}

/** A failed read is tried again after this. */
const retryReadMs = 250;
/** Channels whose matching wildcard fan-outs are remembered. */
const wildcardMatchesMax = 10_000;

/** Passes the reports of the store's feed to the matching fan-outs, and flushes each of them once per turn. */
export class Dispatcher implements Feed, ChannelFanoutHost, StartFinder {
  readonly store: Store;
  readonly catchUp: CatchUp;
  readonly batchBytesMax: number;
  readonly batchMessagesMax: number;
  readonly #parts: DispatcherParts;
  readonly #byChannel = new Map<string, ChannelFanout>();
  readonly #byWildcard = new Map<string, ChannelFanout>();
  readonly #wildcards = new FilterTrie<ChannelFanout>();
  readonly #wildcardMatches = new Map<string, readonly ChannelFanout[]>();
  #head: Position = { epoch: '000000', seq: 0, tag: noTag };
  #dirty = new Set<ChannelFanout>();
  /** Orders in which something happened. */
  #awake = new Set<FilterOrder>();
  #isFlushing = false;
  #isSettleScheduled = false;
  /** Batches that were merged for orders. */
  readonly merged: MergedBatches = new WeakMap();
  #isFlushScheduled = false;
  /** When the flush was scheduled. */
  #dueSinceMs = 0;
  #isStopped = false;

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.store = parts.store;
    const { batchBytesMax, pageMessagesMax, pageCacheBytesMax } = parts.limits;
    this.batchBytesMax = batchBytesMax;
    this.batchMessagesMax = pageMessagesMax;
    this.catchUp = new CatchUp({
      store: parts.store,
      clock: parts.clock,
      pageLimit: { messagesMax: pageMessagesMax, bytesMax: batchBytesMax },
      pageCacheBytesMax,
      gapFound: (filter, seq) => this.gapFound(filter, seq),
      pagesGiven: () => this.#settleOrders(),
      broken: (subscription, cause) => parts.broken(subscription, cause),
      retry: (run, cause) => this.retry(run, cause),
    });
  }

  get head(): Position {
    return this.#head;
  }

  /** The store is open. */
  start(head: Position): void {
    this.#head = head;
  }

  stop(): void {
    this.#isStopped = true;
  }

  firstPage(filter: Filter, position: Position): ReturnType<CatchUp['firstPage']> {
    return this.catchUp.firstPage(filter, position);
  }

  fanoutOf(filter: Filter): ChannelFanout {
    const fanouts = filter.channel === undefined ? this.#byWildcard : this.#byChannel;
    let fanout = fanouts.get(filter.text);
    if (fanout === undefined) {
      fanout = new ChannelFanout(filter, this);
      fanouts.set(filter.text, fanout);
      if (filter.channel === undefined) {
        this.#wildcards.add(filter, fanout);
        this.#wildcardMatches.clear();
      }
    }
    return fanout;
  }

  subscribersOf(channel: string): number {
    return this.#wildcardFanoutsOf(channel).reduce(
      (sum, fanout) => sum + fanout.holders,
      this.#byChannel.get(channel)?.holders ?? 0,
    );
  }

  appended(channel: string, messages: readonly Message[]): void {
    const last = messages[messages.length - 1]!;
    if (last.seq > this.#head.seq) this.#head = last.position;
    this.#byChannel.get(channel)?.accept(messages);
    if (this.#wildcards.size > 0)
      for (const fanout of this.#wildcardFanoutsOf(channel)) fanout.accept(messages);
  }

  interrupted(): void {
    for (const fanout of this.#byChannel.values()) fanout.readAgain();
    for (const fanout of this.#byWildcard.values()) fanout.readAgain();
  }

  dropped(channel: string): void {
    this.catchUp.forgetChannel(channel);
    this.#byChannel.get(channel)?.channelDropped();
  }

  nowMs(): number {
    return this.#parts.clock.nowMs();
  }

  scheduleFlush(fanout: ChannelFanout): void {
    this.#dirty.add(fanout);
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    this.#dueSinceMs = this.#parts.clock.monotonicMs();
    this.#parts.clock.turn(() => this.#flush());
  }

  settleSoon(order: FilterOrder): void {
    this.#awake.add(order);
    if (this.#isFlushing || this.#isSettleScheduled) return;
    this.#isSettleScheduled = true;
    this.#parts.clock.turn(() => {
      this.#isSettleScheduled = false;
      this.#settleOrders();
    });
  }

  /**
   * A read of `filter` after `seq` had gaps. A reader that gets the gap must not get those messages afterwards, from an
   * earlier page or a read in progress.
   */
  gapFound(filter: Filter, seq: number): void {
    this.catchUp.forgetAfter(filter, seq);
    const fanouts = filter.channel === undefined ? this.#byWildcard : this.#byChannel;
    fanouts.get(filter.text)?.gapFound();
  }

  broken(subscription: LogSubscription, cause: unknown): void {
    this.#parts.broken(subscription, cause);
  }

  retry(run: () => void, cause: unknown): void {
    this.#parts.log.warn({ err: cause }, 'the store could not be read; trying again');
    if (!this.#isStopped) this.#parts.clock.after(retryReadMs, run);
  }

  forget(fanout: ChannelFanout): void {
    const { filter } = fanout;
    if (filter.channel === undefined) {
      this.#byWildcard.delete(filter.text);
      this.#wildcards.remove(filter, fanout);
      this.#wildcardMatches.clear();
    } else {
      this.#byChannel.delete(filter.text);
    }
    this.store.unfollow(filter).catch((cause: unknown) => {
      this.#parts.log.warn({ err: cause, filter: filter.text }, 'the store could not stop following');
    });
  }

  #flush(): void {
    this.#isFlushScheduled = false;
    const fanouts = this.#dirty;
    const dueSinceMs = this.#dueSinceMs;
    this.#dirty = new Set();
    this.#isFlushing = true;
    for (const fanout of fanouts) fanout.flush();
    this.#isFlushing = false;
    this.#settleOrders();
    const { clock, figures } = this.#parts;
    figures.deliveryTurns += 1;
    figures.delivering.observe(clock.monotonicMs() - dueSinceMs);
  }

  /** Every fan-out has been flushed: what several filters brought can be merged. */
  #settleOrders(): void {
    if (this.#awake.size === 0) return;
    const orders = this.#awake;
    this.#awake = new Set();
    for (const order of orders) order.settle();
  }

  #wildcardFanoutsOf(channel: string): readonly ChannelFanout[] {
    if (this.#wildcards.size === 0) return [];
    const known = this.#wildcardMatches.get(channel);
    if (known !== undefined) return known;
    const found: ChannelFanout[] = [];
    this.#wildcards.match(channel, (fanout) => found.push(fanout));
    if (this.#wildcardMatches.size >= wildcardMatchesMax) this.#wildcardMatches.clear();
    this.#wildcardMatches.set(channel, found);
    return found;
  }
}
