import { formatCursor, type EverywireError, type Position } from '@everywire/protocol';
import type { Batch } from '../log/batch.ts';
import type { ChannelFanout } from './channel-fanout.ts';
import type { CachedPage } from '../log/page-cache.ts';
import type { Gap } from '../seams/store.ts';
import type { Sink } from '../seams/sink.ts';
import type { Progress, Credit, Subscription } from '../seams/subscription-api.ts';
import { Window, type WindowOptions } from './window.ts';

/**
 * Where a subscription stands:
 * `starting` its place is looked for, or its session has not started it · `reading` it is behind and waits for its turn to read the log ·
 * `live` new messages are pushed · `held` the peer does not take bytes · `full` the window waits for acks · `ended`.
 */
export type Stage = 'starting' | 'reading' | 'live' | 'held' | 'full' | 'ended';

/** What an offer came to. `behind`: only a part was taken, the log has the rest. */
export type Outcome = 'taken' | 'held' | 'full' | 'behind' | 'ended';

/** What a subscription needs of its session. */
export interface SubscriptionHost {
  readonly sink: Sink;
  /** The peer takes no bytes: none of its subscriptions hands anything over. */
  isHeld: boolean;
  countDelivered(messages: number): void;
  isOwnMessage(id: string): boolean;
  /** The window has room again, or the position was moved: go on from it. */
  resume(subscription: LogSubscription): void;
  remove(subscription: Subscription): void;
}

/** Everything that keeps a subscription from being handed the shared batch as it is. */
export interface Restrictions {
  readonly mayDeliver?: ((channel: string) => boolean) | undefined;
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

export class LogSubscription implements Subscription {
  readonly filter: string;
  readonly tag: unknown;
  readonly fanout: ChannelFanout;
  readonly host: SubscriptionHost;
  startCursor = '';
  startGaps: readonly Gap[] = [];
  /** Everything up to here was handed to the sink. */
  position: Position;
  stage: Stage = 'starting';
  /** Where it stands among the fanout's live subscriptions; -1 when it does not. */
  liveIndex = -1;
  /** It waits for its turn to read the log, and needs no second place in that queue. */
  isQueued = false;
  /** The page that was read to answer the subscriber, until its turn comes. */
  firstPage: CachedPage | undefined;
  #restrictions: Restrictions | undefined;
  readonly #window: Window | undefined;
  #batchesLeft: number;
  #isStarted = false;
  /** Why it ended before it was started, for the sink to hear then. */
  #withdrawnFor: EverywireError | undefined;

  constructor(
    host: SubscriptionHost,
    fanout: ChannelFanout,
    position: Position,
    options: {
      readonly filter: string;
      readonly tag: unknown;
      readonly restrictions?: Restrictions | undefined;
    },
  ) {
    this.host = host;
    this.fanout = fanout;
    this.position = position;
    this.filter = options.filter;
    this.tag = options.tag;
    this.#restrictions = options.restrictions;
    this.#batchesLeft = options.restrictions?.batches ?? Number.POSITIVE_INFINITY;
    const window = options.restrictions?.window;
    this.#window = window === undefined ? undefined : new Window(window, position);
  }

  /** Which channels its peer may be given from now on; undefined: all that match. */
  get mayDeliver(): ((channel: string) => boolean) | undefined {
    return this.#restrictions?.mayDeliver;
  }

  set mayDeliver(mayDeliver: ((channel: string) => boolean) | undefined) {
    if (mayDeliver === undefined && this.#restrictions === undefined) return;
    this.#restrictions = { ...(this.#restrictions ?? unrestricted), mayDeliver };
  }

  /** Goes on where an earlier one stood; before it begins. */
  restore(progress: Progress): void {
    this.#window?.restore(progress);
  }

  /** Once it is known where: before that nothing is delivered. */
  beginAt(position: Position, isOtherLog = false): void {
    this.position = position;
    this.#window?.beginAt(position, isOtherLog);
  }

  /** Nothing up to `position` is for it. */
  skipTo(position: Position): void {
    this.position = position;
    this.#window?.pass(position);
  }

  /** Why it would take nothing now. */
  get obstacle(): 'held' | 'full' | undefined {
    if (this.host.isHeld) return 'held';
    return this.#room <= 0 ? 'full' : undefined;
  }

  get #room(): number {
    const { credit } = this.#restrictions ?? {};
    return Math.min(
      this.#window?.room ?? Number.POSITIVE_INFINITY,
      credit?.available ?? Number.POSITIVE_INFINITY,
    );
  }

  get isLive(): boolean {
    return this.stage === 'live';
  }

  get cursor(): string {
    return formatCursor(this.isLive ? this.fanout.caughtUpPosition(this.position) : this.position);
  }

  get progress(): Progress {
    const window = this.#window;
    if (window?.isEmpty === false) return window.progress;
    const deliveredThroughSeq = Math.max(this.position.seq, window?.deliveredThroughSeq ?? 0);
    return { cursor: this.cursor, ackedAhead: [], deliveredThroughSeq };
  }

  /** How far messages were delivered before: at or below it a delivery is a repetition. */
  get redeliveredThroughSeq(): number {
    return this.#window?.redeliveredThroughSeq ?? 0;
  }

  /** Hands over messages above `position`; `end` is the place after all of them. Sets the position before the sink is called. */
  offer(batch: Batch, end: Position): Outcome {
    if (this.host.isHeld) return 'held';
    if (this.#restrictions !== undefined) return this.#offerWithin(this.#restrictions, batch, end);
    this.position = end;
    this.host.countDelivered(batch.messages.length);
    if (this.host.sink.deliver(batch, this)) return 'taken';
    this.host.isHeld = true;
    return 'held';
  }

  ack(seq: number, only = false): void {
    const window = this.#window;
    if (window === undefined || this.stage === 'ended') return;
    const wasFull = window.room <= 0;
    window.ack(seq, only);
    // Where the credit was the obstacle, `creditAvailable` tells, and lets those that share it take turns.
    if (wasFull && this.stage === 'full' && window.room > 0) this.host.resume(this);
  }

  release(seq: number): void {
    if (this.stage !== 'ended') this.#goBackTo(this.#window?.release(seq, this.position));
  }

  rewind(): void {
    if (this.stage !== 'ended') this.#goBackTo(this.#window?.rewind(this.position));
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    if (this.#withdrawnFor !== undefined) this.#notifyEnded(this.#withdrawnFor);
    else if (this.stage === 'starting') this.host.resume(this);
  }

  goOn(): void {
    this.host.resume(this);
  }

  /** Its right has gone. */
  withdraw(error: EverywireError): void {
    this.cancel();
    if (this.#isStarted) this.#notifyEnded(error);
    else this.#withdrawnFor = error;
  }

  cancel(): void {
    if (this.stage === 'ended') return;
    this.fanout.leave(this);
    this.stage = 'ended';
    this.firstPage = undefined;
    this.fanout.release();
    this.host.remove(this);
  }

  #notifyEnded(error: EverywireError): void {
    this.host.sink.notify({ kind: 'ended', subscription: this, error });
  }

  #goBackTo(position: Position | undefined): void {
    if (position === undefined) return;
    this.position = position;
    this.firstPage = undefined;
    if (this.stage !== 'held') this.host.resume(this);
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
    this.#window?.add(part.messages, this.position);
    // Before the sink is called: it may ack, release or rewind at once.
    this.skipTo(isAll ? end : part.end);
    this.#batchesLeft -= 1;
    this.host.countDelivered(part.messages.length);
    const takesMore = this.host.sink.deliver(part, this);
    if (!takesMore) this.host.isHeld = true;
    if (this.#batchesLeft <= 0) return 'ended';
    if (!takesMore) return 'held';
    if (this.#room <= 0) return 'full';
    return isAll ? 'taken' : 'behind';
  }
}
