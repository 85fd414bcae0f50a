import { formatCursor, parseCursor, type Position } from '@everywire/protocol';
import { Batch } from '../log/batch.ts';
import { estimateBytes } from '../log/message.ts';
import type { CloseReason, Notice } from '../seams/sink.ts';
import type { Gap } from '../seams/store.ts';
import type { Credit, Order, OrderOptions, Subscription } from '../seams/subscription-api.ts';
import { mergeBatches, type MergedBatches } from './merged-batches.ts';
import type { LogSubscription, SubscriptionHost } from './subscription.ts';

/** What an order needs of the core: the same for all orders. */
export interface OrderParts {
  nowMs(): number;
  readonly merged: MergedBatches;
  /** Calls `settle` when this flush has ended, or else at the end of this turn. */
  settleSoon(order: FilterOrder): void;
  /** A sink threw. */
  broken(subscription: LogSubscription, cause: unknown): void;
}

/** Batches of one filter that may wait for other filters. */
const waitingMax = 2;
const none: readonly Batch[] = [];

/** One filter of an order: the host of its subscription, and its credit. */
export class OrderedFilter implements SubscriptionHost, Credit {
  readonly #order: FilterOrder;
  readonly #host: SubscriptionHost;
  #subscription: LogSubscription | undefined;
  #waiting: readonly Batch[] = none;
  #waitingBytes = 0;

  constructor(order: FilterOrder, host: SubscriptionHost) {
    this.#order = order;
    this.#host = host;
  }

  /** Undefined until it is made with this as its host. */
  get subscription(): LogSubscription | undefined {
    return this.#subscription;
  }

  set subscription(subscription: LogSubscription | undefined) {
    this.#subscription = subscription;
  }

  /** Batches that must wait, since another filter may still have an earlier message. */
  get waiting(): readonly Batch[] {
    return this.#waiting;
  }

  set waiting(waiting: readonly Batch[]) {
    const bytes = bytesOf(waiting);
    this.#order.countWaiting(bytes - this.#waitingBytes);
    this.#waiting = waiting.length === 0 ? none : waiting;
    this.#waitingBytes = bytes;
  }

  get available(): number {
    return this.#order.availableTo(this);
  }

  get isHeld(): boolean {
    return this.#host.isHeld;
  }

  isOwnMessage(id: string): boolean {
    return this.#host.isOwnMessage(id);
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    if (this.#order.isAlone) return this.#order.pass(batch, subscription);
    this.waiting = [...this.#waiting, batch];
    this.#order.wake();
    return true;
  }

  notify(notice: Notice): void {
    this.#host.notify(notice.kind === 'gap' ? { ...notice, gap: this.#order.gapFor(notice.gap) } : notice);
  }

  close(reason: CloseReason): void {
    this.#host.close(reason);
  }

  remove(subscription: Subscription): void {
    this.#order.remove(this);
    this.#host.remove(subscription);
  }

  moved(): void {
    if (!this.#order.isAlone) this.#order.wake();
  }

  /** The rights of its subscription have changed since these messages came. */
  judgeWaiting(): void {
    const mayDeliver = this.#subscription?.mayDeliver;
    if (mayDeliver === undefined || this.#waiting.length === 0) return;
    this.waiting = this.#waiting
      .map((batch) => batch.only(({ channel }) => mayDeliver(channel)))
      .filter((batch) => batch !== undefined);
    this.#order.wake();
  }
}

/**
 * Several filters of one session in the order of the store. A peer comes back with the cursor of the last message it
 * saw, so no message may be delivered before every filter has brought all messages below it. With one filter, and where
 * only one has news, the shared batch passes through with its encodings; a message that several filters match is handed
 * over once.
 *
 * Nothing here waits for time. A message waits until something happens to the filter that is behind: its flush ends, it
 * reads on, it is started, or it ends.
 */
export class FilterOrder implements Order {
  readonly #host: SubscriptionHost;
  readonly #parts: OrderParts;
  readonly #options: OrderOptions;
  /** Few, and mostly one. Replaced, not changed, like the subscriptions of a session. */
  #filters: readonly OrderedFilter[] = [];
  /** The place of the last message that was handed over. */
  #through: Position | undefined;
  #batchesLeft: number;
  /** Of all filters together. */
  #waitingBytes = 0;
  #isAwake = false;
  /** While so much waits that no filter has credit: the filter that all others wait for may bring one more message. */
  #awaited: OrderedFilter | undefined;

  #wakeAgain: (() => void) | undefined;

  constructor(host: SubscriptionHost, parts: OrderParts, options: OrderOptions) {
    this.#host = host;
    this.#parts = parts;
    this.#options = options;
    this.#batchesLeft = options.batches ?? Number.POSITIVE_INFINITY;
  }

  get cursor(): string {
    return formatCursor(this.#place());
  }

  get isLive(): boolean {
    return this.#filters.every(({ waiting, subscription }) => waiting.length === 0 && subscription!.isLive);
  }

  get startGaps(): readonly Gap[] {
    return this.#filters.flatMap(({ subscription }) =>
      subscription!.startGaps.map((gap) => this.gapFor(gap)),
    );
  }

  /** With one filter and nothing waiting there is nothing to put in order. */
  get isAlone(): boolean {
    const [filter] = this.#filters;
    return this.#filters.length === 1 && filter!.waiting.length === 0 && this.#batchesLeft > 1;
  }

  pass(batch: Batch, subscription: Subscription): boolean {
    this.#through = batch.end;
    return this.#host.deliver(batch, subscription);
  }

  /** A filter of this order; its subscription is to be made with it as its host. */
  add(): OrderedFilter {
    const filter = new OrderedFilter(this, this.#host);
    this.#filters = this.#filters.concat(filter);
    return filter;
  }

  remove(filter: OrderedFilter): void {
    this.#filters = this.#filters.filter((other) => other !== filter);
    filter.waiting = none;
    this.wake();
  }

  availableTo(filter: OrderedFilter): number {
    if (filter.waiting.length >= waitingMax) return 0;
    if (!this.#isFull) return Number.POSITIVE_INFINITY;
    return filter === this.#awaited ? 1 : 0;
  }

  /** With several filters the next valid cursor is where all of them are, or a peer would skip messages of the others. */
  gapFor(gap: Gap): Gap {
    return this.#filters.length === 1 ? gap : { ...gap, next: this.#place() };
  }

  /** So many bytes more, or fewer, wait. */
  countWaiting(bytes: number): void {
    this.#waitingBytes += bytes;
  }

  /** Something happened to one of the filters. */
  wake(): void {
    if (this.#isAwake) return;
    this.#isAwake = true;
    this.#parts.settleSoon(this);
  }

  /** Delivers the messages that need not wait any more. */
  settle(): void {
    this.#isAwake = false;
    while (!this.#host.isHeld) {
      const given = this.#filters.filter(({ waiting }) => waiting.length > 0);
      if (given.length === 0) break;
      const blocking = this.#filters.reduce((left, right) =>
        reachedSeq(right) < reachedSeq(left) ? right : left,
      );
      const safeSeq = reachedSeq(blocking);
      const bringing = given.filter(({ waiting }) => waiting[0]!.firstSeq <= safeSeq);
      if (bringing.length === 0) {
        this.#waitFor(blocking, Math.min(...given.map(({ waiting }) => waiting[0]!.firstSeq)));
        break;
      }
      this.#awaited = undefined;
      const batch = this.#take(bringing, safeSeq);
      if (batch !== undefined) this.#handOver(batch, bringing[0]!.subscription!);
    }
    if (!this.#host.isHeld) this.#resumeFull();
  }

  get #isFull(): boolean {
    return this.#waitingBytes > 0 && this.#waitingBytes >= this.#options.waitingBytesMax;
  }

  /** Everything up to here was handed over, of all filters. */
  #place(): Position {
    const places = this.#filters.map(({ subscription }) => subscription!.reached);
    if (this.#filters.some(({ waiting }) => waiting.length > 0)) {
      if (this.#through === undefined) {
        const starts = this.#filters.map(({ subscription }) => parseCursor(subscription!.startCursor));
        places.push(...starts.filter((start) => start !== undefined));
      } else {
        places.push(this.#through);
      }
    }
    return places.reduce((left, right) => (right.seq < left.seq ? right : left));
  }

  /** The waiting messages up to `safeSeq`, as one batch; `undefined` when all of them have expired. */
  #take(bringing: readonly OrderedFilter[], safeSeq: number): Batch | undefined {
    const nowMs = this.#parts.nowMs();
    const [only] = bringing;
    const most = this.#options.batchMessagesMax ?? Number.POSITIVE_INFINITY;
    const [first] = only!.waiting;
    if (bringing.length === 1 && first!.lastSeq <= safeSeq && first!.messages.length <= most) {
      // The common case: one of the filters has news. All followers of that filter share its bytes.
      only!.waiting = only!.waiting.slice(1);
      return first!.unexpired(nowMs);
    }
    const sources = bringing.flatMap(({ waiting }) => waiting).filter(({ firstSeq }) => firstSeq <= safeSeq);
    const merged = mergeBatches(this.#parts.merged, sources, safeSeq).first(most);
    for (const filter of bringing) {
      filter.waiting = filter.waiting
        .map((batch) => batch.since(merged.lastSeq))
        .filter((batch) => batch !== undefined);
    }
    return merged.unexpired(nowMs);
  }

  #handOver(batch: Batch, subscription: LogSubscription): void {
    this.#through = batch.end;
    this.#batchesLeft -= 1;
    try {
      this.#host.deliver(batch, subscription);
    } catch (cause) {
      // The session ends with all that waits here.
      this.#parts.broken(subscription, cause);
      return;
    }
    if (this.#batchesLeft > 0) return;
    for (const filter of this.#filters) filter.subscription!.settle('ended');
  }

  /** Messages from `seq` on wait for that filter: its next step wakes this order. */
  #waitFor(blocking: OrderedFilter, seq: number): void {
    const { fanout, isLive } = blocking.subscription!;
    // One function for each order: the fan-out calls it once, however often it is asked.
    if (isLive) fanout.whenThrough(seq, (this.#wakeAgain ??= () => this.wake()));
    if (this.#isFull) this.#awaited = blocking;
  }

  #resumeFull(): void {
    for (const { subscription } of this.#filters) {
      if (subscription?.stage === 'full' && subscription.obstacle === undefined) subscription.resume();
    }
  }
}

/** Nothing at or below this seq is still to come from the filter. */
function reachedSeq({ subscription }: OrderedFilter): number {
  // Until its place is known it may be any.
  if (subscription === undefined || subscription.startCursor === '') return -1;
  return subscription.reached.seq;
}

function bytesOf(batches: readonly Batch[]): number {
  let bytes = 0;
  for (const { messages } of batches) for (const message of messages) bytes += estimateBytes(message);
  return bytes;
}
