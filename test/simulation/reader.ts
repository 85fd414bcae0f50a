import { formatCursor, parseCursor, type Start, type From } from '@everywire/protocol';
import type { Message } from '../../packages/server/src/core/log/message.ts';
import type { Gap } from '../../packages/server/src/core/seams/store.ts';
import type { Subscription } from '../../packages/server/src/core/seams/subscription-api.ts';
import { isWildcard, matchesFilter } from '../faults/checker/filters.ts';
import type { Peer } from './peer.ts';
import { Reading } from './reading.ts';
import type { World } from './world.ts';

export interface ReaderOptions {
  readonly name: string;
  /** Several are read in one order. */
  readonly filters: readonly string[];
  /** Where it begins; a cursor here may be any cursor, of any reader or none. */
  readonly from: From | undefined;
  /** The cursor names no place of this log: all that is kept is expected, after a gap. */
  readonly isForged?: boolean;
  readonly deafTo?: DeafTo | undefined;
}

/** The session it reads over, whose own messages it does not want, from that publish on. */
export interface DeafTo {
  readonly client: string;
  readonly fromNo: number;
}

/**
 * A client that wants all messages of some filters from a position on, through all faults of sessions and nodes. It reads
 * by subscription or by polling, leaves, and comes back with its cursor.
 */
export class Reader {
  readonly name: string;
  readonly filters: readonly string[];
  readonly deafTo: DeafTo | undefined;
  /** The cursor for its return; `undefined` until it has received one. */
  cursor: string | undefined;
  readonly #world: World;
  readonly #from: From | undefined;
  readonly #isForged: boolean;
  #reading: Reading | undefined;
  #isPolling = false;
  #hasBegun = false;
  #hasStopped = false;
  /** What the log held when the subscribe was sent, to judge where it began. */
  #headWhenAsked = 0;

  constructor(world: World, { name, filters, from, isForged = false, deafTo }: ReaderOptions) {
    this.#world = world;
    this.name = name;
    this.filters = filters;
    this.deafTo = deafTo;
    this.#from = from;
    this.#isForged = isForged;
  }

  get isIdle(): boolean {
    return this.#reading === undefined && !this.#isPolling && !this.#hasStopped;
  }

  get hasStopped(): boolean {
    return this.#hasStopped;
  }

  get reading(): Reading | undefined {
    return this.#reading;
  }

  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  subscribe(peer: Peer): void {
    this.#headWhenAsked = this.#world.log.headSeq;
    this.#reading = new Reading(this.#world, this, peer, this.#fromNow());
  }

  /** Reads one page. */
  poll(peer: Peer): void {
    const { chance, problems } = this.#world;
    const from = this.#fromNow();
    // Without a place there is no telling what a page must hold.
    if (from === undefined || !('after' in from)) return;
    this.#isPolling = true;
    this.begins(from.after, []);
    peer.session.read(this.filters, from, chance.between(1, 30)).then(
      (page) => {
        this.#isPolling = false;
        for (const gap of page.gaps) this.gap(gap);
        this.delivered(page.messages, false);
        this.cursor = formatCursor(page.through);
      },
      (cause: unknown) => {
        this.#isPolling = false;
        if (!String(cause).includes('went away'))
          problems.push(`${this.name} could not poll: ${String(cause)}`);
      },
    );
  }

  /** It shows a cursor. */
  begins(cursor: string, processed: readonly number[]): void {
    const isForged =
      this.#isForged && this.#from !== undefined && 'after' in this.#from && cursor === this.#from.after;
    this.#record(isForged ? 0 : parseCursor(cursor)!.seq, processed);
    this.cursor = cursor;
  }

  /** The subscribe was answered. */
  answered(subscription: Pick<Subscription, 'startCursor' | 'startGaps'>, isKnownStart: boolean): void {
    if (!isKnownStart) {
      const { seq } = parseCursor(subscription.startCursor)!;
      this.#judgeStart(seq);
      this.#record(seq, []);
      this.cursor = subscription.startCursor;
    }
    for (const gap of subscription.startGaps) this.gap(gap);
  }

  delivered(messages: readonly Message[], isWindowed: boolean): void {
    const { checker, log, time, problems } = this.#world;
    for (const message of messages) {
      checker.record({
        kind: 'delivered',
        atNs: time.nowNs,
        subscriber: this.name,
        ...log.sighting(message),
      });
      if (this.deafTo !== undefined && isOf(this.deafTo, message))
        problems.push(`${this.name} heard its own seq ${message.seq}`);
    }
    if (!isWindowed && messages.length > 0) this.cursor = messages.at(-1)!.cursor;
  }

  gap({ channel, from, to, reason, next }: Gap): void {
    const { checker, time, log, problems, remembersAll } = this.#world;
    if (reason === 'restored') {
      if (!this.#isForged) problems.push(`${this.name} showed a cursor of this log and got a gap: ${reason}`);
      this.#explainRestart();
    } else if (from === undefined && remembersAll) {
      problems.push(`${this.name} got a gap notice for ${channel} without its range`);
    }
    const isOneOfMany = this.filters.length > 1 || (isWildcard(this.filters[0]!) && reason !== 'restored');
    const nextSeq = !isOneOfMany ? next.seq : from === undefined ? log.headSeq : undefined;
    checker.record({
      kind: 'gap',
      atNs: time.nowNs,
      subscriber: this.name,
      channel,
      from,
      to,
      reason,
      nextSeq,
      // One filter may have lost messages that another matching filter delivered before; and in another log each filter
      // starts at a different position.
      ...(this.#isOverlapping || (reason === 'restored' && this.filters.length > 1)
        ? { isImplied: true as const }
        : {}),
    });
  }

  get #isOverlapping(): boolean {
    const { channels } = this.#world;
    return channels.some(
      (channel) => this.filters.filter((filter) => matchesFilter(filter, channel)).length > 1,
    );
  }

  left(reading: Reading): void {
    if (this.#reading === reading) this.#reading = undefined;
    // Which messages are its own is known to the session that ended.
    if (this.deafTo !== undefined) this.stop();
  }

  /** Goes for good, unless it is just waiting for an answer. */
  stop(): void {
    this.#reading?.cancel();
    if (!this.isIdle) return;
    this.#hasStopped = true;
    if (this.#hasBegun)
      this.#world.checker.record({ kind: 'stop', atNs: this.#world.time.nowNs, subscriber: this.name });
  }

  #fromNow(): From | undefined {
    return this.cursor === undefined ? this.#from : { after: this.cursor };
  }

  #record(afterSeq: number, processed: readonly number[]): void {
    this.#hasBegun = true;
    this.#world.checker.record({
      kind: 'start',
      atNs: this.#world.time.nowNs,
      subscriber: this.name,
      filters: this.filters,
      afterSeq,
      processed,
      withoutClient: this.deafTo?.client,
    });
  }

  /**
   * A cursor without a position gets one gap for all channels, and then the messages that are left. The gap explains the
   * messages that are missing now, so the reader records it for each channel. Messages that are missing later are still
   * a violation.
   */
  #explainRestart(): void {
    const { checker, log, time } = this.#world;
    const atNs = time.nowNs;
    const gap = { kind: 'gap', atNs, subscriber: this.name, nextSeq: log.headSeq, isImplied: true } as const;
    void log.channels().then((infos) => {
      for (const { channel, firstOffset } of infos)
        if (firstOffset > 1)
          checker.record({ ...gap, channel, from: 1, to: firstOffset - 1, reason: 'retention' });
      for (const channel of log.droppedChannels) checker.record({ ...gap, channel, reason: 'deleted' });
    });
  }

  /** A described start must leave out nothing that it names and that was there all along. */
  #judgeStart(seq: number): void {
    const { problems, log } = this.#world;
    const since: Start =
      this.#from !== undefined && 'since' in this.#from ? this.#from.since : { kind: 'latest' };
    const askedAtSeq = this.#headWhenAsked;
    if (seq > log.headSeq) problems.push(`${this.name} begins after seq ${seq}, which is not written yet`);
    if (since.kind !== 'earliest' && since.kind !== 'last') return;
    void log.kept(this.filters[0]!).then((kept) => {
      // Between the asking and the answer others may have gone, so that what is among the last now was not then.
      const isWanted = (skipped: Message): boolean =>
        since.kind === 'earliest' || log.countAfter(skipped.seq, this.filters[0]!) < since.count;
      const skipped = kept.filter((message) => message.seq <= Math.min(seq, askedAtSeq) && isWanted(message));
      if (skipped.length > 0)
        problems.push(
          `${this.name} asked for ${JSON.stringify(since)}, and ${skipped.length} up to seq ${seq} are left out`,
        );
    });
  }
}

function isOf({ client, fromNo }: DeafTo, { headers }: Message): boolean {
  return headers?.get('client') === client && Number(headers.get('no')) > fromNo;
}
