import { formatCursor, type Position, type Filter } from '@everywire/protocol';
import type { Clock } from '../clock.ts';
import { PageCache, type CachedPage } from '../log/page-cache.ts';
import type { Gap, PageLimit, Store } from '../seams/store.ts';
import type { LogReader, LogSubscription } from './subscription.ts';

/** What the catch-up needs of the dispatcher. */
export interface CatchUpHost {
  readonly store: Store;
  readonly clock: Clock;
  readonly pageLimit: PageLimit;
  readonly pageCacheBytesMax: number;
  /** A read of `filter` after `seq` had gaps. Must call `forgetAfter`. */
  gapFound(filter: Filter, seq: number): void;
  /** Subscriptions were given pages, or have become live. */
  pagesGiven(): void;
  /** A sink threw. */
  broken(subscription: LogSubscription, cause: unknown): void;
  /** Calls `run` after a while: a read failed. */
  retry(run: () => void, cause: unknown): void;
}

/** A page, and the gaps before it for a reader at exactly that position. */
interface ReadPage {
  readonly page: CachedPage;
  readonly gaps: readonly Gap[];
}

/** A read that other readers at the same position join. */
interface RunningRead {
  readonly filterText: string;
  readonly page: Promise<ReadPage>;
  /** Messages it may still contain are gone by now: only the readers that wait for it already may get it. */
  isStale: boolean;
}

/** How long one turn of the event loop may go to readers of the log, so that live delivery is not late. */
const turnMs = 4;
/** Steps between two looks at the clock. */
const stepsPerLook = 8;
/** Reads of one turn that may wait for a store at the same time. */
const readsMax = 64;

/**
 * Subscriptions that are behind take turns: one page each, then back to the end of the queue, until they have what the
 * live ones have. However many there are, memory holds one page per filter and place, not one per reader.
 */
export class CatchUp implements LogReader {
  readonly #host: CatchUpHost;
  readonly #pages: PageCache;
  readonly #running = new Map<string, RunningRead>();
  #queue: LogSubscription[] = [];
  #next = 0;
  #reads = 0;
  #isScheduled = false;

  constructor(host: CatchUpHost) {
    this.#host = host;
    this.#pages = new PageCache(host.pageCacheBytesMax);
  }

  /** The first page after a position that a peer gave: the store says whether the place still exists. */
  async firstPage(filter: Filter, position: Position): Promise<ReadPage> {
    const known = this.#pages.find(filter, position, false, this.#host.clock.monotonicMs());
    if (known !== undefined) return { page: known, gaps: [] };
    return this.#read(filter, position);
  }

  enqueue(subscription: LogSubscription): void {
    if (subscription.isQueued) return;
    subscription.isQueued = true;
    this.#queue.push(subscription);
    this.#schedule();
  }

  forgetChannel(channel: string): void {
    this.#pages.forgetChannel(channel);
  }

  /** A read of `filter` after `seq` had gaps: pages that were read earlier may contain the missing messages. */
  forgetAfter(filter: Filter, seq: number): void {
    this.#pages.forgetAfter(filter, seq);
    for (const [key, read] of this.#running) {
      if (read.filterText !== filter.text) continue;
      read.isStale = true;
      this.#running.delete(key);
    }
  }

  forgetUnused(sinceMs: number): void {
    this.#pages.forgetUnused(sinceMs);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#reads >= readsMax) return;
    this.#isScheduled = true;
    this.#host.clock.turn(() => {
      this.#isScheduled = false;
      this.#run();
    });
  }

  #run(): void {
    const untilMs = this.#host.clock.monotonicMs() + turnMs;
    // Subscriptions enqueued during this run wait for the next turn: live delivery comes between.
    const count = this.#queue.length;
    for (let steps = 0; this.#next < count && this.#reads < readsMax; steps += 1) {
      if (steps % stepsPerLook === stepsPerLook - 1 && this.#host.clock.monotonicMs() >= untilMs) break;
      const subscription = this.#queue[this.#next]!;
      this.#next += 1;
      subscription.isQueued = false;
      if (subscription.stage === 'reading') this.#step(subscription);
    }
    this.#host.pagesGiven();
    if (this.#next > 0 && this.#next >= this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#next);
      this.#next = 0;
    }
    if (this.#next < this.#queue.length) this.#schedule();
  }

  #step(subscription: LogSubscription): void {
    const { filter } = subscription.fanout;
    const { position, obstacle } = subscription;
    if (obstacle !== undefined) {
      subscription.settle(obstacle);
      return;
    }
    const page =
      subscription.takeFirstPage() ??
      this.#pages.find(filter, position, true, this.#host.clock.monotonicMs());
    if (page !== undefined) {
      this.#give(subscription, page);
      return;
    }
    this.#reads += 1;
    this.#read(filter, position).then(
      (read) => {
        this.#reads -= 1;
        // It may have ended, been held or been rewound while the store was asked.
        if (subscription.stage === 'reading' && subscription.position === position) {
          this.#giveRead(subscription, read);
          this.#host.pagesGiven();
        }
        this.#schedule();
      },
      (cause: unknown) => {
        this.#reads -= 1;
        this.#host.retry(() => {
          if (subscription.stage === 'reading') this.enqueue(subscription);
        }, cause);
        this.#schedule();
      },
    );
  }

  /** Reports gaps only with their page: the next read may find the page in the cache, without a gap. */
  #giveRead(subscription: LogSubscription, { page, gaps }: ReadPage): void {
    const { obstacle } = subscription;
    if (obstacle !== undefined) {
      subscription.settle(obstacle);
      return;
    }
    for (const gap of gaps) subscription.tellGap(gap);
    if (isReading(subscription)) this.#give(subscription, page);
  }

  /** Hands over a page that begins at the subscription's position. */
  #give(subscription: LogSubscription, page: CachedPage): void {
    try {
      subscription.takePage(page.batch?.unexpired(this.#host.clock.nowMs()), page.through);
    } catch (cause) {
      this.#host.broken(subscription, cause);
    }
  }

  /** Readers that ask for the same page while it is being read wait for that one read: a storm comes back in one turn. */
  #read(filter: Filter, position: Position): Promise<ReadPage> {
    const key = `${formatCursor(position)} ${filter.text}`;
    const running = this.#running.get(key);
    if (running !== undefined) return running.page;
    const page = this.#host.store
      .read(filter, position, this.#host.pageLimit)
      .then((found) => {
        if (found.gaps.length > 0) this.#host.gapFound(filter, position.seq);
        const nowMs = this.#host.clock.monotonicMs();
        return {
          page: this.#pages.add(filter, position, found, { nowMs, isStale: read.isStale }),
          gaps: found.gaps,
        };
      })
      .finally(() => {
        if (this.#running.get(key) === read) this.#running.delete(key);
      });
    const read: RunningRead = { filterText: filter.text, page, isStale: false };
    this.#running.set(key, read);
    return page;
  }
}

/** The sink may have ended the subscription meanwhile, which the compiler cannot see. */
function isReading(subscription: LogSubscription): boolean {
  return subscription.stage === 'reading';
}
