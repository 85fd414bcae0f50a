import type { EverywireError } from '@everywire/protocol';
import { Batch } from '../log/batch.ts';
import { InFlight } from '../fanout/in-flight.ts';
import { estimateBytes, type Message } from '../log/message.ts';
import type { Gap } from '../seams/store.ts';
import type { MayDeliver } from '../fanout/readable-gap.ts';
import type { SubscriptionFanout, SubscriptionHost } from '../fanout/subscription.ts';
import type { Progress, Credit, Subscription } from '../seams/subscription-api.ts';

/** The messages that one member gets at once. */
export interface Share {
  readonly messages: Message[];
  bytes: number;
}

/** What a member needs of its group. */
export interface MemberGroup {
  readonly fanout: SubscriptionFanout;
  readonly isLive: boolean;
  readonly cursor: string;
  readonly redeliveredThroughSeq: number;
  /** The member may take its turns. */
  hasRoom(member: GroupMember): void;
  /** The rights of the member changed. */
  rightsChanged(): void;
  acked(messages: readonly Message[], member: GroupMember): void;
  /** Messages that were delivered and not acknowledged, for any member with room, for `last` only if no other has room. */
  takeBack(messages: readonly Message[], last: GroupMember | undefined): void;
  leave(member: GroupMember, unacked: readonly Message[]): void;
}

export interface MemberOptions {
  /** The name as the peer gave it. */
  readonly filter: string;
  readonly tag: unknown;
  readonly mayDeliver: MayDeliver;
  readonly acknowledges: boolean;
  /** Infinity where nothing is acknowledged. */
  readonly windowMessages: number;
  /** Of what it has not acknowledged; one message may be more. */
  readonly windowBytes: number;
  readonly credit: Credit | undefined;
  readonly batches: number;
  readonly batchMessagesMax: number;
  readonly batchBytesMax: number;
}

/**
 * `starting` its session has not started it · `live` takes its turns · `held` its peer takes no bytes · `full` its window
 * or credit is · `ended`.
 */
type MemberStage = 'starting' | 'live' | 'held' | 'full' | 'ended';

const nothing: Progress = { cursor: '', acksAboveWatermark: [], deliveredWatermark: 0 };

/** One subscription in a group: it has separate messages in flight, and the place of the group. */
export class GroupMember implements Subscription {
  readonly filter: string;
  readonly tag: unknown;
  readonly host: SubscriptionHost;
  startCursor = '';
  startGaps: readonly Gap[] = [];
  #stage: MemberStage = 'starting';
  #mayDeliver: MayDeliver;
  readonly #group: MemberGroup;
  readonly #options: MemberOptions;
  /** The messages themselves, so that they can go to another member without a look into the log. */
  readonly #inFlight = new InFlight<Message>();
  #inFlightBytes = 0;
  #batchesLeft: number;
  #isStarted = false;
  /** Why it ended before it was started, for the sink to hear then. */
  #withdrawnFor: EverywireError | undefined;

  constructor(group: MemberGroup, host: SubscriptionHost, options: MemberOptions) {
    this.#group = group;
    this.host = host;
    this.filter = options.filter;
    this.tag = options.tag;
    this.#options = options;
    this.#mayDeliver = options.mayDeliver;
    this.#batchesLeft = options.batches;
  }

  /** The channels that its peer may read; undefined: all that match. */
  get mayDeliver(): MayDeliver {
    return this.#mayDeliver;
  }

  set mayDeliver(mayDeliver: MayDeliver) {
    this.#mayDeliver = mayDeliver;
    if (this.#stage === 'starting') this.#group.rightsChanged();
    else this.resume();
  }

  get stage(): MemberStage {
    return this.#stage;
  }

  get fanout(): SubscriptionFanout {
    return this.#group.fanout;
  }

  get isLive(): boolean {
    return this.#group.isLive;
  }

  get cursor(): string {
    return this.#group.cursor;
  }

  get redeliveredThroughSeq(): number {
    return this.#group.redeliveredThroughSeq;
  }

  get progress(): Progress {
    return nothing;
  }

  get credit(): Credit | undefined {
    return this.#options.credit;
  }

  /**
   * How many more messages it can get beside its share, when `ofCredit` are set aside for all members with its credit
   * and the next message has `bytes`.
   */
  roomBeside(
    { messages, bytes: ownBytes }: Share,
    { ofCredit, bytes }: { readonly ofCredit: number; readonly bytes: number },
  ): number {
    if (this.#stage === 'ended' || this.host.isHeld) return 0;
    const { windowMessages, windowBytes, credit, batchMessagesMax, batchBytesMax } = this.#options;
    const own = messages.length;
    if (own > 0 && ownBytes + bytes > batchBytesMax) return 0;
    if (own + this.#inFlight.size > 0 && this.#inFlightBytes + ownBytes + bytes > windowBytes) return 0;
    const room = Math.min(windowMessages - this.#inFlight.size, batchMessagesMax) - own;
    return credit === undefined ? room : Math.min(room, credit.available - ofCredit);
  }

  /** It may take its turns; false when it does already. */
  beginTurns(): boolean {
    if (this.#stage === 'live') return false;
    this.#stage = 'live';
    return true;
  }

  /** It has no room, and waits until it has. */
  pauseTurns(): void {
    this.#stage = this.host.isHeld ? 'held' : 'full';
  }

  mayHave(message: Message): boolean {
    const { mayDeliver } = this;
    return mayDeliver === undefined || mayDeliver(message.channel);
  }

  /** Delivers them to the peer. The sink may acknowledge or leave before this returns. */
  take(messages: readonly Message[]): void {
    for (const message of messages) {
      this.#inFlight.add(message.seq, message);
      this.#inFlightBytes += estimateBytes(message);
    }
    this.#batchesLeft -= 1;
    this.host.deliver(new Batch(messages), this);
    if (!this.#options.acknowledges && !this.#hasEnded()) this.#acked(this.#takeAll());
    if (this.#batchesLeft > 0 || this.#hasEnded()) return;
    this.cancel();
    this.#notifyEnded(undefined);
  }

  ack(seq: number, only = false): void {
    if (this.#stage === 'ended') return;
    if (!only) {
      this.#acked(this.#taken(this.#inFlight.takeThrough(seq)));
      return;
    }
    this.#acked(this.#take(seq));
  }

  release(seq: number): void {
    if (this.#stage === 'ended') return;
    this.#group.takeBack(this.#take(seq), this);
  }

  rewind(): void {
    if (this.#stage !== 'ended') this.#group.takeBack(this.#takeAll(), this);
  }

  cancel(): void {
    if (this.#stage === 'ended') return;
    this.#stage = 'ended';
    this.host.remove(this);
    this.#group.leave(this, this.#takeAll());
  }

  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    if (this.#withdrawnFor !== undefined) this.#notifyEnded(this.#withdrawnFor);
    else this.resume();
  }

  /** The client lost the right. */
  withdraw(error: EverywireError): void {
    this.cancel();
    if (this.#isStarted) this.#notifyEnded(error);
    else this.#withdrawnFor = error;
  }

  /** Its peer takes bytes again, its credit has room, or its rights changed. */
  resume(): void {
    if (this.#stage !== 'ended') this.#group.hasRoom(this);
  }

  #take(seq: number): readonly Message[] {
    const message = this.#inFlight.take(seq);
    return message === undefined ? [] : this.#taken([message]);
  }

  #takeAll(): readonly Message[] {
    return this.#taken(this.#inFlight.takeAll());
  }

  #taken(messages: readonly Message[]): readonly Message[] {
    for (const message of messages) this.#inFlightBytes -= estimateBytes(message);
    return messages;
  }

  #acked(messages: readonly Message[]): void {
    if (messages.length > 0) this.#group.acked(messages, this);
  }

  #notifyEnded(error: EverywireError | undefined): void {
    const why = error === undefined ? {} : { error };
    this.host.notify({ kind: 'ended', subscription: this, ...why });
  }

  /** Its sink may have ended it, which the compiler cannot see. */
  #hasEnded(): boolean {
    return this.#stage === 'ended';
  }
}
