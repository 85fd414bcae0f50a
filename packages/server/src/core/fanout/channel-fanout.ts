import type { Position, Filter } from '@everywire/protocol';
import { Batch } from '../log/batch.ts';
import { estimateBytes, type Message } from '../log/message.ts';
import type { Page, Store } from '../seams/store.ts';
import type { LogSubscription, Outcome, SubscriptionFanout } from './subscription.ts';

/** What a fan-out needs of the dispatcher. */
export interface ChannelFanoutHost {
  readonly store: Store;
  readonly head: Position;
  nowMs(): number;
  readonly batchBytesMax: number;
  readonly batchMessagesMax: number;
  /** Calls `flush` at the end of this turn. */
  scheduleFlush(fanout: ChannelFanout): void;
  /** Reading `filter` after `seq` found a gap: pages read earlier may contain the missing messages. */
  gapFound(filter: Filter, seq: number): void;
  /** A sink threw. */
  broken(subscription: LogSubscription, cause: unknown): void;
  /** Calls `run` after a while: a read failed. */
  retry(run: () => void, cause: unknown): void;
  /** The last holder has released it. */
  forget(fanout: ChannelFanout): void;
}

/**
 * Follows one filter for all its subscriptions. It collects the messages of the feed, and once per turn gives them to
 * the live subscriptions as one batch, encoded once. Every live subscription has received everything up to `through`.
 */
export class ChannelFanout implements SubscriptionFanout {
  readonly filter: Filter;
  readonly #host: ChannelFanoutHost;
  /** Holes are subscriptions that left while a batch was delivered. */
  #live: (LogSubscription | undefined)[] = [];
  #holes = 0;
  #pending: Message[] = [];
  #through: Position | undefined;
  /** The offset that the feed has to bring next, where messages are believed only when none can be missing. */
  #nextOffset: number | undefined;
  #isReading = false;
  /** Batches of a flush are still to come. */
  #isFlushing = false;
  #mustReadAgain = false;
  /** Outdated once a gap was found since it started: its page may hold messages that a reader was informed are gone. */
  #runningRead: { isOutdated: boolean } | undefined;
  #holders = 0;
  /** Called when nothing more is on its way to the live subscriptions. */
  #whenQuiet: Set<() => void> | undefined;
  readonly ready: Promise<void>;

  constructor(filter: Filter, host: ChannelFanoutHost) {
    this.filter = filter;
    this.#host = host;
    this.ready = host.store.follow(filter).then((position) => {
      this.#through = position;
      // The feed started before this turn: its messages are above the position, or were in the log already.
      this.#pending = this.#pending.filter((message) => message.seq > position.seq);
      if (this.#pending.length === 0) return;
      // No flush could take them until now; and a lossy feed may have lost some between them.
      if (host.store.traits.feed === 'lossy') this.readAgain();
      else host.scheduleFlush(this);
    });
    // Each subscription gets the failure when it awaits `ready`; all of them may be gone before.
    this.ready.catch(() => undefined);
  }

  get holders(): number {
    return this.#holders;
  }

  hold(): void {
    this.#holders += 1;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) this.#host.forget(this);
  }

  /** The place of a live subscription at `position`: the head of the store, unless messages are on their way to it. */
  caughtUpPosition(position: Position): Position {
    // On a lossy feed others' messages may raise the head above one of ours that the feed has lost.
    const head = this.#host.store.traits.feed === 'lossy' ? this.#through! : this.#host.head;
    return this.#isQuiet && head.seq > position.seq ? head : position;
  }

  whenThrough(seq: number, run: () => void): void {
    (this.#whenQuiet ??= new Set()).add(run);
    if (!this.#isQuiet) return;
    // A lossy feed does not say that nothing was published: the log does.
    if (this.#host.store.traits.feed === 'lossy' && this.#through!.seq < seq) this.readAgain();
    else this.#host.scheduleFlush(this);
  }

  get #isQuiet(): boolean {
    return this.#pending.length === 0 && !this.#isReading && !this.#isFlushing;
  }

  /** Makes the subscription live if it has been given at least what the live ones have; else it must read on. */
  join(subscription: LogSubscription): boolean {
    if (this.#through === undefined || subscription.position.seq < this.#through.seq) return false;
    // Most filters have one subscription, and an array that grows reserves 16 places more.
    if (this.#live.length === 0) this.#live = [subscription];
    else this.#live.push(subscription);
    subscription.liveIndex = this.#live.length - 1;
    return true;
  }

  leave(subscription: LogSubscription): void {
    if (subscription.liveIndex < 0) return;
    this.#live[subscription.liveIndex] = undefined;
    subscription.liveIndex = -1;
    this.#holes += 1;
    // Not at once: a batch may be in delivery.
    if (this.#holes > 32 && this.#holes > this.#live.length / 2) this.#host.scheduleFlush(this);
  }

  /** Takes messages from the feed. */
  accept(messages: readonly Message[]): void {
    if (this.#isReading) {
      this.#mustReadAgain = true;
      return;
    }
    if (this.#host.store.traits.feed === 'lossy' && this.#through !== undefined) {
      const news = messages.filter((message) => message.seq > this.#through!.seq);
      if (news.length === 0) return;
      if (!this.#provesNothingMissing(news)) {
        this.readAgain();
        return;
      }
    }
    const throughSeq = this.#through?.seq ?? 0;
    for (const message of messages) {
      if (message.seq <= throughSeq) continue;
      this.#pending.push(message);
      this.#nextOffset = message.offset + 1;
    }
    if (this.#pending.length > 0) this.#host.scheduleFlush(this);
  }

  /** The feed may have lost something: the log decides. */
  readAgain(): void {
    this.#mustReadAgain = true;
    if (this.#isReading) return;
    this.#isReading = true;
    this.#pending = [];
    // The pending messages are dropped, so no offset continues from them, also when the read fails.
    this.#nextOffset = undefined;
    void this.#read();
  }

  /** The channel is gone; should it come back, its offsets begin at 1. */
  channelDropped(): void {
    this.#nextOffset = undefined;
    // A page that is on its way may be of the life that ended.
    if (this.#isReading) this.#mustReadAgain = true;
  }

  gapFound(): void {
    if (this.#runningRead !== undefined) this.#runningRead.isOutdated = true;
  }

  flush(): void {
    this.#compact();
    if (this.#pending.length === 0 || this.#through === undefined) {
      this.#tellQuiet();
      return;
    }
    const messages = this.#pending;
    this.#pending = [];
    this.#isFlushing = true;
    let from = 0;
    let bytes = 0;
    for (let at = 0; at < messages.length; at += 1) {
      const size = estimateBytes(messages[at]!);
      if (
        at > from &&
        (bytes + size > this.#host.batchBytesMax || at - from >= this.#host.batchMessagesMax)
      ) {
        this.#deliver(messages.slice(from, at));
        from = at;
        bytes = 0;
      }
      bytes += size;
    }
    this.#deliver(from === 0 ? messages : messages.slice(from));
    this.#isFlushing = false;
    this.#tellQuiet();
  }

  #tellQuiet(): void {
    const waiting = this.#whenQuiet;
    if (waiting === undefined || !this.#isQuiet) return;
    this.#whenQuiet = undefined;
    for (const run of waiting) run();
  }

  #deliver(messages: readonly Message[]): void {
    const end = messages[messages.length - 1]!.position;
    this.#through = end;
    if (this.#live.length === 0) return;
    const batch = new Batch(messages).unexpired(this.#host.nowMs());
    if (batch !== undefined) this.#goRound(batch, end);
  }

  /** The hot loop: everything in it runs once per live subscription and turn. */
  #goRound(batch: Batch, end: Position): void {
    const live = this.#live;
    const count = live.length;
    const { firstSeq } = batch;
    for (let at = 0; at < count; at += 1) {
      const subscription = live[at];
      if (subscription === undefined) continue;
      let view: Batch | undefined = batch;
      // It joined by reading the log, ahead of what was still to be flushed.
      if (subscription.position.seq >= firstSeq) {
        view = batch.since(subscription.position.seq);
        if (view === undefined) continue;
      }
      let outcome: Outcome;
      try {
        outcome = subscription.offer(view, end);
      } catch (cause) {
        this.#host.broken(subscription, cause);
        continue;
      }
      if (outcome !== 'taken') {
        this.leave(subscription);
        subscription.settle(outcome);
      }
    }
  }

  #compact(): void {
    if (this.#holes === 0) return;
    let to = 0;
    for (const subscription of this.#live) {
      if (subscription === undefined) continue;
      subscription.liveIndex = to;
      this.#live[to] = subscription;
      to += 1;
    }
    this.#live.length = to;
    this.#holes = 0;
  }

  /**
   * A shared store's feed may drop messages before it says so. Offsets have no holes, so a run of one channel that
   * continues at the end of the last one is complete. Nothing is known of a wildcard's channels, so the log is read.
   */
  #provesNothingMissing(news: readonly Message[]): boolean {
    return this.filter.channel !== undefined && news[0]!.offset === this.#nextOffset;
  }

  async #read(): Promise<void> {
    try {
      await this.ready;
      while (this.#mustReadAgain && this.#holders > 0) {
        this.#mustReadAgain = false;
        const running = { isOutdated: false };
        this.#runningRead = running;
        const page = await this.#host.store.read(this.filter, this.#through!, {
          messagesMax: this.#host.batchMessagesMax,
          bytesMax: this.#host.batchBytesMax,
        });
        this.#runningRead = undefined;
        if (!running.isOutdated) this.#takePage(page);
        if (running.isOutdated || !page.atHead) this.#mustReadAgain = true;
      }
      this.#isReading = false;
      this.#tellQuiet();
    } catch (cause) {
      this.#isReading = false;
      if (this.#holders > 0) this.#host.retry(() => this.readAgain(), cause);
    }
  }

  #takePage(page: Page): void {
    this.#compact();
    if (page.gaps.length > 0) {
      // A subscription that takes only a part of this page reads the rest through the page cache.
      this.#host.gapFound(this.filter, this.#through!.seq);
      this.#tellGaps(page);
    }
    const last = page.messages.at(-1);
    if (last !== undefined) {
      if (!this.#mustReadAgain) this.#nextOffset = last.offset + 1;
      const batch = new Batch(page.messages).unexpired(this.#host.nowMs());
      this.#through = page.through;
      if (batch !== undefined) this.#goRound(batch, page.through);
    } else if (page.through.seq >= this.#through!.seq) {
      this.#through = page.through;
    }
  }

  /**
   * The gaps lie after `through`. A subscription ahead of it may have received messages that are gone now: it reads on
   * by itself.
   */
  #tellGaps(page: Page): void {
    for (const subscription of this.#live) {
      if (subscription === undefined || subscription.position.seq >= page.through.seq) continue;
      if (subscription.position.seq <= this.#through!.seq && subscription.obstacle === undefined) {
        for (const gap of page.gaps) subscription.tellGap(gap);
      } else {
        this.leave(subscription);
        subscription.settle('behind');
      }
    }
  }
}
