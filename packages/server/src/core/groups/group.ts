import type { Position } from '@everywire/protocol';
import type { Batch } from '../log/batch.ts';
import type { Clock } from '../clock.ts';
import type { ChannelFanout } from '../fanout/channel-fanout.ts';
import type { Message } from '../log/message.ts';
import { mayBeTold } from '../fanout/readable-gap.ts';
import { LogSubscription, type LogReader, type SubscriptionHost } from '../fanout/subscription.ts';
import type { CloseReason, Notice } from '../seams/sink.ts';
import type { Progress, Credit, Subscription } from '../seams/subscription-api.ts';
import type { GroupMember, MemberGroup } from './member.ts';
import { Shares, RoundRobin } from './round-robin.ts';

/** What a group needs of the collection of groups. */
export interface GroupHost {
  readonly clock: Clock;
  readonly reader: LogReader;
  /** Bounds what was acknowledged above something that is not. */
  readonly spanMessagesMax: number;
  /** Its progress has changed since it was saved. */
  progressed(group: Group): void;
  /** Its last member has left. */
  emptied(group: Group): void;
  /** A member's sink threw: that member ends, and its connection. */
  broken(member: GroupMember, cause: unknown): void;
}

/** A message that must be delivered before any new one. */
interface Waiting {
  readonly message: Message;
  /** The member that had it last: it gets the message again only if no other member has room. */
  readonly last: GroupMember | undefined;
}

/**
 * A group is one subscription of the log, whose peer is all its members together: its window holds their unacknowledged
 * messages, and its credit is the sum of their room. It passes each message that it receives to one member. So it is a
 * cursor like any other; it keeps only messages that members gave back, which their windows bound.
 */
export class Group implements SubscriptionHost, MemberGroup, Credit {
  readonly key: string;
  /** The host of its subscription is never held: a member that is held has no room instead. */
  readonly isHeld = false;
  /** Stays without members, since one of them asked for it. */
  isKept = false;
  /** Its place is known and saved, and messages may come. */
  hasStarted = false;
  /** There was a record of it before. */
  hasRecord = false;
  /** Settles when its place is known, and saved. */
  ready: Promise<void> = Promise.resolve();
  readonly #host: GroupHost;
  readonly fanout: ChannelFanout;
  readonly #subscription: LogSubscription;
  readonly #members = new Set<GroupMember>();
  readonly #roundRobin = new RoundRobin();
  /** By seq. */
  #waiting: Waiting[] = [];
  #restored: Progress | undefined;
  #redeliveredThroughSeq = 0;
  #isServing = false;

  constructor(host: GroupHost, key: string, fanout: ChannelFanout, start: Position) {
    this.#host = host;
    this.fanout = fanout;
    this.key = key;
    fanout.hold();
    this.#subscription = new LogSubscription({ host: this, fanout, reader: host.reader }, start, {
      filter: fanout.filter.text,
      tag: undefined,
      restrictions: {
        echo: true,
        credit: this,
        batchMessagesMax: Number.POSITIVE_INFINITY,
        batches: Number.POSITIVE_INFINITY,
        window: { messagesMax: host.spanMessagesMax },
      },
    });
  }

  /** Resumes at an earlier position; before it starts. */
  restore(progress: Progress): void {
    this.#restored = progress;
    this.#redeliveredThroughSeq = progress.deliveredWatermark;
    this.#subscription.restore(progress);
  }

  get subscription(): LogSubscription {
    return this.#subscription;
  }

  /** Before it starts, the subscription does not know its position yet. */
  get progress(): Progress {
    return this.hasStarted ? this.#subscription.progress : (this.#restored ?? this.#subscription.progress);
  }

  get cursor(): string {
    return this.#subscription.cursor;
  }

  get isLive(): boolean {
    return this.#subscription.isLive;
  }

  /** First deliveries go in order of seq, so a message at or below one that came back may be a repetition. */
  get redeliveredThroughSeq(): number {
    return this.#redeliveredThroughSeq;
  }

  /** Room for new messages: 0 while a message that was given back waits for a member. */
  get available(): number {
    return this.#waiting.length > 0 ? 0 : this.#roundRobin.room();
  }

  join(member: GroupMember): void {
    // The first one is the group's own hold; a listing counts subscriptions, not groups.
    if (this.#members.size > 0) this.fanout.hold();
    this.#members.add(member);
  }

  /** Its unacknowledged messages go to the other members. */
  leave(member: GroupMember, unacked: readonly Message[]): void {
    if (!this.#members.delete(member)) return;
    this.#roundRobin.leave(member);
    if (this.#members.size === 0) {
      this.#host.emptied(this);
      return;
    }
    this.fanout.release();
    this.takeBack(unacked, undefined);
    // Messages that only this member was allowed to have are done.
    this.#serve();
  }

  /** From then on the group exists only in the log and in its record. */
  end(): void {
    this.#subscription.cancel();
    this.#waiting = [];
  }

  hasRoom(member: GroupMember): void {
    this.#roundRobin.enter(member);
    this.#serve();
  }

  /** The rights of a member changed: waiting messages may now be for it, or for no member. */
  rightsChanged(): void {
    this.#serve();
  }

  acked(messages: readonly Message[], member: GroupMember): void {
    for (const { seq } of messages) this.#subscription.ack(seq, true);
    this.#host.progressed(this);
    if (member.stage === 'full') this.#roundRobin.enter(member);
    this.#serve();
  }

  /** Messages that were delivered and not acknowledged go to any member with room, to `last` only if no other has room. */
  takeBack(messages: readonly Message[], last: GroupMember | undefined): void {
    if (messages.length === 0) return;
    this.#putBack(messages, last);
    if (last?.stage === 'full') this.#roundRobin.enter(last);
    this.#serve();
  }

  deliver(batch: Batch, _subscription: Subscription): boolean {
    // The log offers as many as there is room for; where only some members may have a message, their room may be too
    // small.
    this.#addWaiting(batch.messages, undefined);
    this.#serve();
    return true;
  }

  notify(notice: Notice): void {
    if (notice.kind !== 'gap') return;
    const { gap } = notice;
    for (const member of [...this.#members]) {
      if (member.stage !== 'starting' && mayBeTold(this.fanout.filter, gap, member.mayDeliver))
        member.host.notify({ kind: 'gap', subscription: member, gap });
    }
  }

  /** A fault of the group, not of a member: all members resume from the saved place. */
  close({ error }: CloseReason): void {
    for (const member of [...this.#members]) this.#host.broken(member, error);
  }

  isOwnMessage(): boolean {
    return false;
  }

  remove(): void {
    // The subscription belonged to this group alone.
  }

  /** Delivers waiting messages while there is room; then the log may bring more. */
  #serve(): void {
    // A sink may call this again from within a delivery: the round in progress sees the change.
    if (this.#isServing) return;
    this.#isServing = true;
    try {
      while (this.#handOut());
    } finally {
      this.#isServing = false;
    }
    if (this.#subscription.stage === 'full' && this.available > 0) this.#subscription.resume();
  }

  /** One round: each member with room gets its share at once. False when no member got a message. */
  #handOut(): boolean {
    if (this.#waiting.length === 0 || this.#roundRobin.isEmpty()) return false;
    const nowMs = this.#host.clock.nowMs();
    const waiting = this.#waiting;
    const shares = new Shares();
    const left: Waiting[] = [];
    let at = 0;
    for (; at < waiting.length && !this.#roundRobin.isEmpty(); at += 1) {
      const one = waiting[at]!;
      const { message, last } = one;
      const isExpired = message.expiresAtMs !== undefined && message.expiresAtMs <= nowMs;
      const member = isExpired ? undefined : this.#roundRobin.choose(message, shares, last);
      if (member !== undefined) shares.add(member, message);
      else if (!isExpired && this.#hasReaderOf(message)) left.push(one);
      else this.#settle(message);
    }
    if (left.length === 0) waiting.splice(0, at);
    else this.#waiting = left.concat(waiting.slice(at));
    for (const [member, { messages }] of shares.byMember) this.#give(member, messages);
    return shares.byMember.size > 0;
  }

  #give(member: GroupMember, messages: readonly Message[]): void {
    // A sink that was served before it may have ended or held it.
    if (member.stage === 'ended' || member.host.isHeld) {
      this.#putBack(messages, undefined);
      return;
    }
    // Its credit may be shared with other groups, which were served while a sink before it acted.
    const room = Math.max(0, member.credit?.available ?? messages.length);
    const fitting = messages.length <= room ? messages : messages.slice(0, room);
    if (fitting.length < messages.length) this.#putBack(messages.slice(room), undefined);
    if (fitting.length === 0) {
      this.#roundRobin.park(member);
      return;
    }
    try {
      member.take(fitting);
    } catch (cause) {
      this.#host.broken(member, cause);
    }
    // It was full by the bound of one batch, or acked from within.
    if (member.stage === 'full' && new Shares().roomOf(member, 0) > 0) this.#roundRobin.enter(member);
  }

  /**
   * The members that get them may have received higher ones by now. So they count as repetitions, also those that a
   * member was to get and could not take: deliveries without that mark are in order.
   */
  #putBack(messages: readonly Message[], last: GroupMember | undefined): void {
    for (const { seq } of messages) this.#redeliveredThroughSeq = Math.max(this.#redeliveredThroughSeq, seq);
    this.#addWaiting(messages, last);
  }

  #addWaiting(messages: readonly Message[], last: GroupMember | undefined): void {
    const waiting = this.#waiting;
    const [first] = messages;
    if (messages.length === 1 && first !== undefined) {
      // A peer that gives back one message after the other while no member has room must not cause a sort of all of
      // them each time.
      waiting.splice(placeOf(first.seq, waiting), 0, { message: first, last });
      return;
    }
    for (const message of messages) waiting.push({ message, last });
    waiting.sort((left, right) => left.message.seq - right.message.seq);
  }

  /** A message that no member may have, or that has expired, is done. */
  #settle({ seq }: Message): void {
    this.#subscription.ack(seq, true);
    this.#host.progressed(this);
  }

  #hasReaderOf(message: Message): boolean {
    for (const member of this.#members) if (member.mayHave(message)) return true;
    return false;
  }
}

/** Index of the first one above `seq`. */
function placeOf(seq: number, waiting: readonly Waiting[]): number {
  let low = 0;
  let high = waiting.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (waiting[middle]!.message.seq <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
