import { type EverywireError, type Filter, formatCursor, type Position } from '@everywire/protocol';
import type { Batch } from '../log/batch.ts';
import type { CachedPage } from '../log/page-cache.ts';
import type { Sink } from '../seams/sink.ts';
import type { Gap } from '../seams/store.ts';
import type { Credit, Progress, Subscription } from '../seams/subscription-api.ts';
import { mayBeTold, readableGap, type MayDeliver } from './readable-gap.ts';
import { Window, type WindowOptions } from './window.ts';

/**
 * Where a subscription is:
 * `starting` its place is looked for, or its session has not started it · `reading` it is behind and waits for its turn to
 * read the log · `live` new messages are pushed · `held` the peer does not take bytes · `full` the window waits for
 * acknowledgements, or the credit is used up · `ended`.
 */
export type Stage = 'starting' | 'reading' | 'live' | 'held' | 'full' | 'ended';

/** The result of an offer. `behind`: it took a part, the log has the rest. */
export type Outcome = 'taken' | 'held' | 'full' | 'behind' | 'ended';

/** The receiver of a subscription: a session, a group, or one of several filters in one order. */
export interface SubscriptionHost extends Sink {
  /** The peer takes no bytes: none of its subscriptions hands anything over. */
  readonly isHeld: boolean;
  isOwnMessage(id: string): boolean;
  /** The subscription has ended. */
  remove(subscription: Subscription): void;
  /** Optional: the position or the stage of a started subscription has changed. */
  moved?(): void;
}

/** What a subscription needs of the fan-out of its filter. */
export interface SubscriptionFanout {
  readonly filter: Filter;
  /** False when live subscriptions were given more than this one: then it must read the log. */
  join(subscription: LogSubscription): boolean;
  leave(subscription: LogSubscription): void;
  /** Gives up the hold that the subscription was made with. */
  release(): void;
  /** Calls `run` when live subscriptions were given everything up to `seq`, or that is known not to come. */
  whenThrough(seq: number, run: () => void): void;
  /** `position`, or the head of the store when nothing is on its way to a live subscription there. */
  caughtUpPosition(position: Position): Position;
}

/** Hands the log to subscriptions that are behind. */
export interface LogReader {
  enqueue(subscription: LogSubscription): void;
}

/** Everything that keeps a subscription from being handed the shared batch as it is. */
export interface Restrictions {
  readonly mayDeliver?: MayDeliver;
  readonly echo: boolean;
  readonly credit?: Credit | undefined;
  readonly batchMessagesMax: number;
  readonly batches: number;
  readonly window?: WindowOptions | undefined;
}

const unrestricted: Restrictions = {
  echo: true,
  batchMessagesMax: Number.POSITIVE_INFINITY,
  batches: Number.POSITIVE_INFINITY,
};

export interface SubscriptionParts {
  readonly host: SubscriptionHost;
  readonly fanout: SubscriptionFanout;
  readonly reader: LogReader;
}

/** Where a subscription begins. */
export interface StartPlace {
  readonly position: Position;
  /** The place that was asked for belongs to another log. */
  readonly isOtherLog?: boolean;
  readonly gaps?: readonly Gap[];
  /** The page that was read to find this out. */
  readonly page?: CachedPage | undefined;
}

/** A cursor that follows a filter. Only this class changes its stage, its position and its first page. */
export class LogSubscription implements Subscription {
  readonly filter: string;
  readonly tag: unknown;
  readonly fanout: SubscriptionFanout;
  readonly host: SubscriptionHost;
  /** Its index among the live subscriptions of the fan-out, which keeps it here; -1: it is not live. */
  liveIndex = -1;
  /** The log reader keeps here that it has queued this subscription. */
  isQueued = false;
  readonly #reader: LogReader;
  #startCursor = '';
  #startGaps: readonly Gap[] = [];
  #position: Position;
  #stage: Stage = 'starting';
  /** The page that was read to answer the subscriber, until it is delivered. */
  #firstPage: CachedPage | undefined;
  #restrictions: Restrictions | undefined;
  readonly #window: Window | undefined;
  #batchesLeft: number;
  #isStarted = false;
  /** Why it ended before it was started: the sink hears of it at the start. */
  #withdrawnFor: EverywireError | undefined;

  constructor(
    { host, fanout, reader }: SubscriptionParts,
    position: Position,
    options: {
      readonly filter: string;
      readonly tag: unknown;
      readonly restrictions?: Restrictions | undefined;
    },
  ) {
    this.host = host;
    this.fanout = fanout;
    this.#reader = reader;
    this.#position = position;
    this.filter = options.filter;
    this.tag = options.tag;
    this.#restrictions = options.restrictions;
    this.#batchesLeft = options.restrictions?.batches ?? Number.POSITIVE_INFINITY;
    const window = options.restrictions?.window;
    this.#window = window === undefined ? undefined : new Window(window, position);
  }

  get stage(): Stage {
    return this.#stage;
  }

  /** Everything up to here was handed to the sink. */
  get position(): Position {
    return this.#position;
  }

  get startCursor(): string {
    return this.#startCursor;
  }

  get startGaps(): readonly Gap[] {
    return this.#startGaps;
  }

  /** Which channels its peer may be given from now on; undefined: all that match. */
  get mayDeliver(): MayDeliver {
    return this.#restrictions?.mayDeliver;
  }

  set mayDeliver(mayDeliver: MayDeliver) {
    if (mayDeliver === undefined && this.#restrictions === undefined) return;
    this.#restrictions = { ...(this.#restrictions ?? unrestricted), mayDeliver };
  }

  /** Why it would take nothing now. */
  get obstacle(): 'held' | 'full' | undefined {
    if (this.host.isHeld) return 'held';
    return this.#room <= 0 ? 'full' : undefined;
  }

  get isLive(): boolean {
    return this.#stage === 'live';
  }

  get cursor(): string {
    return formatCursor(this.reached);
  }

  /** Everything of its filter up to here was handed to the sink. */
  get reached(): Position {
    return this.isLive ? this.fanout.caughtUpPosition(this.#position) : this.#position;
  }

  get progress(): Progress {
    const window = this.#window;
    if (window?.isEmpty === false) return window.progress;
    const deliveredWatermark = Math.max(this.#position.seq, window?.deliveredWatermark ?? 0);
    return { cursor: this.cursor, acksAboveWatermark: [], deliveredWatermark };
  }

  /** How far messages were delivered before: at or below it a delivery is a repetition. */
  get redeliveredThroughSeq(): number {
    return this.#window?.redeliveredThroughSeq ?? 0;
  }

  /** Resumes from an earlier progress; before its place is set. */
  restore(progress: Progress): void {
    this.#window?.restore(progress);
  }

  /** Once, before it is started. */
  setStart({ position, isOtherLog = false, gaps = [], page }: StartPlace): void {
    this.#position = position;
    this.#window?.startAt(position, isOtherLog);
    this.#startCursor = formatCursor(position);
    this.#startGaps = gaps;
    this.#firstPage = page;
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    if (this.#withdrawnFor !== undefined) this.#notifyEnded(this.#withdrawnFor);
    else if (this.#stage === 'starting') this.resume();
  }

  /** Its obstacle may be gone: it continues from its position. */
  resume(): void {
    this.fanout.leave(this);
    if (this.#firstPage === undefined && this.fanout.join(this)) {
      this.#stage = 'live';
      this.host.moved?.();
    } else {
      this.#readOn();
    }
  }

  /** Hands over messages above the position of a live subscription; `end` is the place after all of them. */
  offer(batch: Batch, end: Position): Outcome {
    if (this.host.isHeld) return 'held';
    if (this.#restrictions !== undefined) return this.#offerWithin(this.#restrictions, batch, end);
    // Before the sink is called: it may ask for the cursor.
    this.#position = end;
    return this.host.deliver(batch, this) ? 'taken' : 'held';
  }

  /** The subscription did not take the whole offer, and has left the fan-out. */
  settle(outcome: Outcome): void {
    if (this.#stage === 'ended') return;
    switch (outcome) {
      case 'held':
      case 'full':
        this.#stage = outcome;
        this.host.moved?.();
        break;
      case 'ended':
        this.cancel();
        this.#notifyEnded(undefined);
        break;
      case 'behind':
      case 'taken':
        this.#readOn();
        break;
    }
  }

  /** The page that it was given with its place. */
  takeFirstPage(): CachedPage | undefined {
    const page = this.#firstPage;
    this.#firstPage = undefined;
    return page;
  }

  /** Takes the next part of the log, `batch`, which begins at its position; `through` is the place after it. */
  takePage(batch: Batch | undefined, through: Position): void {
    let outcome: Outcome = 'taken';
    if (batch === undefined) this.skipTo(through);
    else outcome = this.offer(batch, through);
    // The sink may have ended it, or moved it.
    if (!this.#isReading()) return;
    if (outcome === 'taken') this.resume();
    else this.settle(outcome);
  }

  tellGap(gap: Gap): void {
    const { filter } = this.fanout;
    if (!mayBeTold(filter, gap, this.mayDeliver)) return;
    this.host.notify({ kind: 'gap', subscription: this, gap: readableGap(filter, gap, this.#position) });
  }

  /** Nothing up to `position` is for it. */
  skipTo(position: Position): void {
    this.#position = this.#window?.pass(position) ?? position;
    this.host.moved?.();
  }

  ack(seq: number, only = false): void {
    const window = this.#window;
    if (window === undefined || this.#stage === 'ended') return;
    const wasFull = window.room <= 0;
    window.ack(seq, only);
    // Where the credit was the obstacle, `creditAvailable` tells, and resumes those that share it in turns.
    if (wasFull && this.#stage === 'full' && window.room > 0) this.resume();
  }

  release(seq: number): void {
    if (this.#stage !== 'ended') this.#goBackTo(this.#window?.release(seq, this.#position));
  }

  rewind(): void {
    if (this.#stage !== 'ended') this.#goBackTo(this.#window?.rewind(this.#position));
  }

  /** The client lost the right. */
  withdraw(error: EverywireError): void {
    this.cancel();
    if (this.#isStarted) this.#notifyEnded(error);
    else this.#withdrawnFor = error;
  }

  cancel(): void {
    if (this.#stage === 'ended') return;
    this.fanout.leave(this);
    this.#stage = 'ended';
    this.#firstPage = undefined;
    this.fanout.release();
    this.host.remove(this);
  }

  get #room(): number {
    const { credit } = this.#restrictions ?? {};
    return Math.min(
      this.#window?.room ?? Number.POSITIVE_INFINITY,
      credit?.available ?? Number.POSITIVE_INFINITY,
    );
  }

  /** A method, since the compiler cannot see that a sink changes it. */
  #isReading(): boolean {
    return this.#stage === 'reading';
  }

  #readOn(): void {
    this.#stage = 'reading';
    this.#reader.enqueue(this);
  }

  #notifyEnded(error: EverywireError | undefined): void {
    const why = error === undefined ? {} : { error };
    this.host.notify({ kind: 'ended', subscription: this, ...why });
  }

  #goBackTo(position: Position | undefined): void {
    if (position === undefined) return;
    this.#position = position;
    this.#firstPage = undefined;
    if (this.#stage !== 'held') this.resume();
  }

  #offerWithin(restrictions: Restrictions, batch: Batch, end: Position): Outcome {
    const { mayDeliver } = restrictions;
    const room = Math.min(this.#room, restrictions.batchMessagesMax);
    if (room <= 0) return 'full';
    const view = batch.only(
      (message) =>
        (mayDeliver === undefined || mayDeliver(message.channel)) &&
        (restrictions.echo || !this.host.isOwnMessage(message.id)) &&
        this.#window?.isWanted(message) !== false,
    );
    if (view === undefined) {
      this.skipTo(end);
      return 'taken';
    }
    const part = view.first(room);
    const isAll = part.messages.length === view.messages.length;
    this.#window?.add(part.messages, this.#position);
    // Before the sink is called: it may ack, release or rewind at once.
    this.skipTo(isAll ? end : part.end);
    this.#batchesLeft -= 1;
    const takesMore = this.host.deliver(part, this);
    if (this.#batchesLeft <= 0) return 'ended';
    if (!takesMore) return 'held';
    if (this.#room <= 0) return 'full';
    return isAll ? 'taken' : 'behind';
  }
}
