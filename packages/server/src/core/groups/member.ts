import { Batch } from '../batch.ts';
import { InFlight } from '../in-flight.ts';
import type { Message } from '../message.ts';
import type { Gap } from '../store.ts';
import type { Owner } from '../subscription.ts';
import type { Progress, Quota, Subscription } from '../transport.ts';
import type { Group } from './group.ts';

export interface MemberOptions {
  /** The name as the peer gave it. */
  readonly filter: string;
  readonly tag: unknown;
  readonly mayDeliver: ((channel: string) => boolean) | undefined;
  readonly acknowledges: boolean;
  /** Infinity where nothing is acknowledged. */
  readonly windowMessages: number;
  readonly quota: Quota | undefined;
  readonly batches: number;
  readonly batchMessagesMax: number;
}

/** `live` takes its turns · `held` its peer takes no bytes · `full` its window or quota is · `ended`. */
type MemberStage = 'live' | 'held' | 'full' | 'ended';

const nothing: Progress = { cursor: '', ackedAhead: [], deliveredThroughSeq: 0 };

/** One subscription in a group: what it has in flight is its own, its place is the group's. */
export class GroupMember implements Subscription {
  readonly filter: string;
  readonly tag: unknown;
  readonly owner: Owner;
  startCursor = '';
  startGaps: readonly Gap[] = [];
  stage: MemberStage = 'full';
  readonly #group: Group;
  readonly #options: MemberOptions;
  /** The messages themselves, so that they can go to another member without a look into the log. */
  readonly #inFlight = new InFlight<Message>();
  #batchesLeft: number;

  constructor(group: Group, owner: Owner, options: MemberOptions) {
    this.#group = group;
    this.owner = owner;
    this.filter = options.filter;
    this.tag = options.tag;
    this.#options = options;
    this.#batchesLeft = options.batches;
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

  get quota(): Quota | undefined {
    return this.#options.quota;
  }

  /** How many more it may be given when so many were set aside for it, and so many for all that share its quota. */
  roomBeside(own: number, ofQuota: number): number {
    if (this.stage === 'ended' || this.owner.isHeld) return 0;
    const { windowMessages, quota, batchMessagesMax } = this.#options;
    const room = Math.min(windowMessages - this.#inFlight.size, batchMessagesMax) - own;
    return quota === undefined ? room : Math.min(room, quota.room - ofQuota);
  }

  mayHave(message: Message): boolean {
    const { mayDeliver } = this.#options;
    return mayDeliver === undefined || mayDeliver(message.channel);
  }

  /** Hands them to the peer. What its sink does meanwhile, such as to ack or to leave, has been done when this returns. */
  take(messages: readonly Message[]): void {
    for (const message of messages) this.#inFlight.add(message.seq, message);
    this.#batchesLeft -= 1;
    this.owner.countDelivered(messages.length);
    if (!this.owner.sink.deliver(new Batch(messages), this)) this.owner.isHeld = true;
    if (!this.#options.acknowledges && !this.#hasEnded()) this.#acked(this.#inFlight.takeAll());
    if (this.#batchesLeft > 0 || this.#hasEnded()) return;
    this.cancel();
    this.owner.sink.notify({ kind: 'ended', subscription: this });
  }

  ack(seq: number, only = false): void {
    if (this.stage === 'ended') return;
    if (!only) {
      this.#acked(this.#inFlight.takeThrough(seq));
      return;
    }
    const message = this.#inFlight.take(seq);
    if (message !== undefined) this.#acked([message]);
  }

  release(seq: number): void {
    if (this.stage === 'ended') return;
    const message = this.#inFlight.take(seq);
    if (message !== undefined) this.#group.takeBack([message], this);
  }

  rewind(): void {
    if (this.stage !== 'ended') this.#group.takeBack(this.#inFlight.takeAll(), this);
  }

  cancel(): void {
    if (this.stage === 'ended') return;
    this.stage = 'ended';
    this.owner.remove(this);
    this.#group.leave(this, this.#inFlight.takeAll());
  }

  /** Its peer takes bytes again, or its quota has room. */
  goOn(): void {
    if (this.stage !== 'ended') this.#group.hasRoom(this);
  }

  #acked(messages: readonly Message[]): void {
    if (messages.length > 0) this.#group.acked(messages, this);
  }

  /** Its sink may have ended it, which the compiler cannot see. */
  #hasEnded(): boolean {
    return this.stage === 'ended';
  }
}
