import { parseCursor } from '@everywire/protocol';
import { Batch } from '../../core/log/batch.ts';
import type { Clock, Timer } from '../../core/clock.ts';
import { estimateBytes, type Message } from '../../core/log/message.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { Credit, Subscription } from '../../core/seams/subscription-api.ts';

const none: readonly Batch[] = [];

/** A filter that a peer follows. It is also what its subscription asks for room. */
export class Following implements Credit {
  readonly filter: string;
  readonly #order: Order;
  /** Undefined until the hub has begun it. */
  subscription: Subscription | undefined;
  /** Nothing at or below this place is owed to the peer, wherever it comes back from. */
  floor = '';
  /** The peer knows of it. */
  isStarted = false;
  /** What may not be sent yet, since another filter may still owe something earlier. */
  waiting: readonly Batch[] = none;
  /** What that comes to, roughly. */
  waitingBytes = 0;

  constructor(filter: string, order: Order) {
    this.filter = filter;
    this.#order = order;
  }

  get available(): number {
    return this.#order.roomOf(this);
  }
}

/** Where merged messages go. */
export interface OrderTarget {
  /** False: nothing more until `writable()`. */
  write(batch: Batch): boolean;
}

export interface OrderParts {
  readonly clock: Clock;
  readonly merges: Merges;
  /** Bytes that may wait, of all filters together. */
  readonly waitingBytesMax: number;
}

/** While one filter's log is read, the others' messages wait for it; how often to look whether it got there. */
const lookEveryMs = 20;
/** Batches of one filter that may wait for others. */
const waitingMax = 2;

/**
 * The filters of one peer in one order: a peer comes back with the cursor of the last message it saw, so nothing may be
 * sent before everything below it has been. With one filter nothing is done, and the shared batch passes through.
 * A message that several filters match is sent once.
 */
export class Order {
  readonly #target: OrderTarget;
  readonly #clock: Clock;
  readonly #merges: Merges;
  readonly #waitingBytesMax: number;
  /** Few, and mostly one: a map would cost every connection a table. */
  #followings: readonly Following[] = [];
  #session!: Session;
  #isHeld = false;
  /** How many want nothing to be sent for now. */
  #pauses = 0;
  #isOver = false;
  #isSettling = false;
  /** What waits of all filters together. */
  #waitingBytes = 0;
  /** Once so much waits that nobody has room, the one that may bring one more message: nothing can be sent before it does. */
  #awaited: Following | undefined;
  #timer: Timer | undefined;

  constructor(target: OrderTarget, { clock, merges, waitingBytesMax }: OrderParts) {
    this.#target = target;
    this.#clock = clock;
    this.#merges = merges;
    this.#waitingBytesMax = waitingBytesMax;
  }

  begin(session: Session): void {
    this.#session = session;
  }

  get all(): readonly Following[] {
    return this.#followings;
  }

  get size(): number {
    return this.#followings.length;
  }

  get(filter: string): Following | undefined {
    return this.#followings.find((following) => following.filter === filter);
  }

  add(following: Following): void {
    this.#followings = [...this.#followings.filter(({ filter }) => filter !== following.filter), following];
  }

  remove(following: Following): void {
    this.#followings = this.#followings.filter((other) => other !== following);
    this.#waitingBytes -= following.waitingBytes;
    following.waiting = none;
    following.waitingBytes = 0;
    following.subscription?.cancel();
    this.#settleSoon();
  }

  /** From here on what `following` brings is sent. */
  start(following: Following): void {
    following.isStarted = true;
    following.subscription!.start();
  }

  /** Nothing is sent until `resume`. */
  pause(): void {
    this.#pauses += 1;
  }

  resume(): void {
    this.#pauses -= 1;
    if (this.#pauses > 0 || this.#isOver) return;
    this.#settle();
    this.#session.creditAvailable();
  }

  /** Whether anything may be sent now. */
  get isOpen(): boolean {
    return this.#pauses === 0 && !this.#isHeld;
  }

  /** What went out beside the order was enough: nothing more until `writable`. */
  hold(): void {
    this.#isHeld = true;
  }

  roomOf(following: Following): number {
    if (!this.isOpen || following.waiting.length >= waitingMax) return 0;
    if (!this.#isFull) return Number.POSITIVE_INFINITY;
    return following === this.#awaited ? 1 : 0;
  }

  get #isFull(): boolean {
    return this.#waitingBytes >= this.#waitingBytesMax;
  }

  /** The one that all others wait for: of those that are at the lowest place, the first. */
  #findAwaited(): Following | undefined {
    let awaited: Following | undefined;
    let lowestSeq = Number.POSITIVE_INFINITY;
    for (const one of this.#followings) {
      if (!one.isStarted) continue;
      const seq = seqOf(one.subscription!.cursor);
      if (seq >= lowestSeq) continue;
      lowestSeq = seq;
      awaited = one;
    }
    return awaited;
  }

  /** What the hub brings. */
  deliver(batch: Batch, following: Following): boolean {
    if (this.#followings.length === 1 && following.waiting.length === 0) return this.#write(batch);
    following.waiting = [...following.waiting, batch];
    const bytes = bytesOf(batch);
    following.waitingBytes += bytes;
    this.#waitingBytes += bytes;
    this.#awaited = undefined;
    this.#settleSoon();
    return true;
  }

  /** The peer takes bytes again. */
  writable(): void {
    if (this.#isOver) return;
    this.#isHeld = false;
    this.#settle();
    this.#session.drained();
    this.#session.creditAvailable();
  }

  end(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#followings = [];
  }

  #write(batch: Batch): boolean {
    const takesMore = this.#target.write(batch);
    if (!takesMore) this.#isHeld = true;
    return takesMore;
  }

  /** When every filter has been given what this turn brought. */
  #settleSoon(): void {
    if (this.#isSettling || this.#isOver) return;
    this.#isSettling = true;
    process.nextTick(settle, this);
  }

  settleNow(): void {
    this.#isSettling = false;
    this.#settle();
  }

  #settle(): void {
    while (!this.#isOver && !this.#isHeld && this.#pauses === 0) {
      const given: Following[] = [];
      let safeSeq = Number.POSITIVE_INFINITY;
      for (const following of this.#followings) {
        if (!following.isStarted) continue;
        if (following.waiting.length > 0) given.push(following);
        safeSeq = Math.min(safeSeq, seqOf(following.subscription!.cursor));
      }
      if (given.length === 0) return;
      const wasFull = this.#isFull || given.some(({ waiting }) => waiting.length >= waitingMax);
      const batch = take(given, safeSeq, this.#merges);
      this.#waitingBytes = given.reduce((bytes, { waitingBytes }) => bytes + waitingBytes, 0);
      if (batch === undefined) {
        if (this.#isFull) {
          this.#awaited = this.#findAwaited();
          this.#session.creditAvailable();
        }
        this.#lookAgain();
        return;
      }
      this.#write(batch);
      if (wasFull) this.#session.creditAvailable();
    }
  }

  #lookAgain(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(lookEveryMs, () => this.#settle());
  }
}

function settle(order: Order): void {
  order.settleNow();
}

/** Takes what is at or below `safeSeq` from all of `given`, in seq order, each message once. */
function take(given: readonly Following[], safeSeq: number, merges: Merges): Batch | undefined {
  const [only] = given;
  if (given.length === 1 && only!.waiting[0]!.lastSeq <= safeSeq) {
    // The common case: one of the filters spoke. Its bytes are shared with everyone else who follows it.
    const [batch] = only!.waiting;
    only!.waiting = only!.waiting.slice(1);
    only!.waitingBytes = bytesOfAll(only!.waiting);
    return batch;
  }
  const bySeq = new Map<number, Message>();
  const sources: Batch[] = [];
  for (const following of given) {
    for (const batch of following.waiting) {
      if (batch.firstSeq > safeSeq) continue;
      sources.push(batch);
      for (const message of batch.messages) if (message.seq <= safeSeq) bySeq.set(message.seq, message);
    }
    following.waiting = following.waiting
      .map((batch) => batch.since(safeSeq))
      .filter((batch) => batch !== undefined);
    following.waitingBytes = bytesOfAll(following.waiting);
  }
  return bySeq.size === 0 ? undefined : merges.of(sources, safeSeq, bySeq);
}

function bytesOf({ messages }: Batch): number {
  let bytes = 0;
  for (const message of messages) bytes += estimateBytes(message);
  return bytes;
}

function bytesOfAll(batches: readonly Batch[]): number {
  let bytes = 0;
  for (const batch of batches) bytes += bytesOf(batch);
  return bytes;
}

/** What was merged last: peers that follow the same filters are given the same batch, and its bytes. */
export class Merges {
  #sources: readonly Batch[] = [];
  #safeSeq = 0;
  #batch: Batch | undefined;

  of(sources: readonly Batch[], safeSeq: number, bySeq: ReadonlyMap<number, Message>): Batch {
    const isKnown =
      this.#safeSeq === safeSeq &&
      this.#sources.length === sources.length &&
      this.#sources.every((batch, at) => batch === sources[at]);
    if (isKnown && this.#batch !== undefined) return this.#batch;
    this.#batch = new Batch([...bySeq.values()].sort((left, right) => left.seq - right.seq));
    this.#sources = sources;
    this.#safeSeq = safeSeq;
    return this.#batch;
  }
}

export function seqOf(cursor: string): number {
  return parseCursor(cursor)?.seq ?? 0;
}

/** The later of two places. */
export function laterOf(left: string, right: string | undefined): string {
  return right === undefined || seqOf(left) >= seqOf(right) ? left : right;
}
