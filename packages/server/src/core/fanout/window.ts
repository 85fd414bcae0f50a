import { formatCursor, parseCursor, type Position } from '@everywire/protocol';
import { InFlight } from './in-flight.ts';
import type { Message } from '../log/message.ts';
import type { AckedRange, Progress } from '../seams/subscription-api.ts';

export interface WindowOptions {
  /** Messages delivered and not acknowledged, at most. */
  readonly messagesMax: number;
  /** The place of an earlier subscription. */
  readonly progress?: Progress | undefined;
}

/**
 * `out` delivered and not acknowledged · `awaited` to be delivered again · `acked` above something that is not.
 */
type State = 'out' | 'awaited' | 'acked';

/** Everything between its two places that this subscription was ever offered. */
interface Range {
  readonly first: Position;
  readonly last: Position;
}

/** One message, or, once it is acknowledged, also the acknowledged ones next to it. */
interface Entry extends Range {
  last: Position;
  state: State;
}

/** So many single acknowledged entries are not worth a pass that joins them. */
const singleEntriesMax = 32;

/**
 * The messages that are delivered and not acknowledged, and the acknowledged ranges above them. Only what is in flight
 * counts against the bound: one message without an answer stops nothing behind it. Acknowledged neighbours are one
 * range, so there is at most one range more than there are messages in flight, and a subscription stays a cursor and a
 * window. The acknowledged position passes nothing that this window was not offered since it started, or since it went
 * back: what an earlier one had acknowledged says nothing of what lies between.
 */
export class Window {
  readonly #messagesMax: number;
  readonly #inFlight = new InFlight<Entry>();
  /** By seq and without overlap, from `#first` on: everything that the acknowledged position has not passed. */
  #entries: Entry[] = [];
  #first = 0;
  #ackedCount = 0;
  #awaitedCount = 0;
  /** Acknowledged in an earlier subscription and not reached again yet, by seq, from `#firstKnown` on. */
  #known: readonly Range[] = [];
  #firstKnown = 0;
  #ackedThrough: Position;
  /** Everything up to here was offered since it last went back. */
  #passedSeq: number;
  /** Everything up to here was offered at some time. */
  #reached: Position;
  #deliveredWatermark: number;
  redeliveredThroughSeq = 0;

  constructor(options: WindowOptions, start: Position) {
    this.#messagesMax = options.messagesMax;
    this.#ackedThrough = start;
    this.#passedSeq = start.seq;
    this.#reached = start;
    this.#deliveredWatermark = start.seq;
    if (options.progress !== undefined) this.restore(options.progress);
  }

  /** Continues an earlier window; called before the first delivery. */
  restore(progress: Progress): void {
    this.redeliveredThroughSeq = progress.deliveredWatermark;
    this.#known = progress.acksAboveWatermark
      .map((range) => parseRange(range))
      .filter((range) => range !== undefined)
      .sort((left, right) => left.last.seq - right.last.seq);
  }

  /** Nothing is in flight, and nothing was acknowledged out of order. */
  get isEmpty(): boolean {
    return this.#length === 0 && this.#firstKnown === this.#known.length;
  }

  get progress(): Progress {
    const acksAboveWatermark = this.#known.slice(this.#firstKnown).map(formatRange);
    for (const entry of joined(this.#entries, this.#first))
      if (entry.state === 'acked') acksAboveWatermark.push(formatRange(entry));
    return {
      cursor: formatCursor(this.#ackedThrough),
      acksAboveWatermark,
      deliveredWatermark: this.deliveredWatermark,
    };
  }

  /** The highest seq that was ever handed over, also by the subscription before. */
  get deliveredWatermark(): number {
    return Math.max(this.#deliveredWatermark, this.redeliveredThroughSeq);
  }

  /** The place up to which everything is acknowledged. */
  get ackedThrough(): Position {
    return this.#ackedThrough;
  }

  /** How many more may be delivered. */
  get room(): number {
    return this.#messagesMax - this.#inFlight.size;
  }

  /** The place where the subscription starts is known. Acknowledgements of another log do not count. */
  startAt(start: Position, isOtherLog: boolean): void {
    this.#ackedThrough = start;
    this.#passedSeq = start.seq;
    this.#reached = start;
    this.#deliveredWatermark = start.seq;
    this.#known = isOtherLog ? [] : this.#known.filter(({ last }) => last.seq > start.seq);
    this.#firstKnown = 0;
  }

  /** False for what is under way or acknowledged already. Another message at a place that was acknowledged is wanted. */
  isWanted(message: Message): boolean {
    const entry = this.#isNewest(message.seq) ? undefined : this.#find(message.seq);
    if (entry !== undefined) return entry.state === 'awaited';
    const at = indexAbove(this.#known, message.seq - 1, this.#firstKnown);
    return at === this.#known.length || !holds(this.#known[at]!, message);
  }

  /** Delivers `messages`; `before` is the earlier place of the subscription. */
  add(messages: readonly Message[], before: Position): void {
    if (this.isEmpty) this.#ackedThrough = before;
    for (const message of messages) {
      this.#reachKnown(message.seq - 1);
      this.#inFlight.add(message.seq, this.#enter(message, 'out'));
      if (message.seq > this.#deliveredWatermark) this.#deliveredWatermark = message.seq;
    }
  }

  /**
   * The subscription was offered everything up to `position`. Messages that were to come again and did not have expired
   * or are gone. Returns where the subscription resumes: nothing in between is wanted, so it need not be read again.
   */
  pass(position: Position): Position {
    this.#reachKnown(position.seq);
    let next = position.seq > this.#reached.seq ? position : this.#reached;
    if (this.#awaitedCount > 0) {
      for (let at = this.#indexAbove(this.#passedSeq); at < this.#entries.length; at += 1) {
        const entry = this.#entries[at]!;
        if (entry.state !== 'awaited') continue;
        if (entry.first.seq > position.seq) {
          const before = this.#entries[at - 1];
          next = before !== undefined && before.last.seq > position.seq ? before.last : position;
          break;
        }
        this.#set(entry, 'acked');
        if (this.#awaitedCount === 0) break;
      }
    }
    if (position.seq > this.#reached.seq) this.#reached = position;
    this.#passedSeq = next.seq;
    this.#advance();
    return next;
  }

  /**
   * Acknowledges `only` that message, or it and everything delivered before it. For a seq that is not in flight: those
   * in flight below it, or with `only` nothing.
   */
  ack(seq: number, only: boolean): void {
    if (only) {
      const entry = this.#inFlight.take(seq);
      if (entry !== undefined) this.#set(entry, 'acked');
    } else {
      const through = this.#inFlight.has(seq) ? seq : this.#newestOutBelow(seq);
      if (through === undefined) return;
      for (const entry of this.#inFlight.takeThrough(through)) this.#set(entry, 'acked');
    }
    this.#advance();
  }

  /**
   * The position from which everything unacknowledged is delivered again, and nothing that was acknowledged; `undefined`
   * when nothing is under way.
   */
  rewind(position: Position): Position | undefined {
    if (this.#inFlight.size === 0) return undefined;
    this.redeliveredThroughSeq = Math.max(this.redeliveredThroughSeq, this.#deliveredWatermark);
    for (const entry of this.#inFlight.takeAll()) this.#set(entry, 'awaited');
    return this.#goBack(position, this.#ackedThrough);
  }

  /** The position from which that message is delivered again, and nothing else; `undefined` when it is not under way. */
  release(seq: number, position: Position): Position | undefined {
    const entry = this.#inFlight.take(seq);
    if (entry === undefined) return undefined;
    this.redeliveredThroughSeq = Math.max(this.redeliveredThroughSeq, seq);
    this.#set(entry, 'awaited');
    const at = this.#indexAbove(seq - 1);
    return this.#goBack(position, at === this.#first ? this.#ackedThrough : this.#entries[at - 1]!.last);
  }

  get #length(): number {
    return this.#entries.length - this.#first;
  }

  #goBack(from: Position, to: Position): Position {
    if (to.seq >= from.seq) return from;
    this.#passedSeq = to.seq;
    return to;
  }

  #set(entry: Entry, state: State): void {
    if (entry.state === 'acked') this.#ackedCount -= 1;
    else if (entry.state === 'awaited') this.#awaitedCount -= 1;
    entry.state = state;
    if (state === 'acked') this.#ackedCount += 1;
    else if (state === 'awaited') this.#awaitedCount += 1;
  }

  /** What an earlier subscription had acknowledged takes its place among the entries when it was passed. */
  #reachKnown(throughSeq: number): void {
    while (this.#firstKnown < this.#known.length && this.#known[this.#firstKnown]!.last.seq <= throughSeq) {
      const { first, last } = this.#known[this.#firstKnown]!;
      this.#firstKnown += 1;
      this.#insert({ first, last, state: 'out' }, 'acked');
    }
  }

  #enter({ epoch, seq, tag }: Position, state: State): Entry {
    // Another message at its place takes over from what was acknowledged in an earlier life of the log.
    while ((this.#known[this.#firstKnown]?.first.seq ?? Number.POSITIVE_INFINITY) <= seq)
      this.#firstKnown += 1;
    const known = this.#find(seq);
    if (known !== undefined) {
      this.#set(known, state);
      return known;
    }
    // A copy of the place: the message would keep its payload alive.
    const place = { epoch, seq, tag };
    return this.#insert({ first: place, last: place, state: 'out' }, state);
  }

  #insert(entry: Entry, state: State): Entry {
    const { seq } = entry.first;
    if (this.#isNewest(seq)) this.#entries.push(entry);
    else this.#entries.splice(this.#indexAbove(seq), 0, entry);
    this.#set(entry, state);
    return entry;
  }

  #advance(): void {
    while (this.#first < this.#entries.length) {
      const entry = this.#entries[this.#first]!;
      // After it went back, it must first reach the earlier acknowledgements, or those messages would be wanted again.
      if (entry.state !== 'acked' || entry.last.seq > this.#passedSeq) break;
      this.#ackedThrough = entry.last;
      this.#ackedCount -= 1;
      this.#first += 1;
    }
    if (this.#first === this.#entries.length) {
      this.#entries = [];
      this.#first = 0;
    } else if (this.#first > 32 && this.#first > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    } else if (this.#ackedCount > 2 * (this.#length - this.#ackedCount) + singleEntriesMax) {
      this.#entries = joined(this.#entries, this.#first);
      this.#first = 0;
      this.#ackedCount = this.#entries.reduce((count, { state }) => count + (state === 'acked' ? 1 : 0), 0);
    }
  }

  #isNewest(seq: number): boolean {
    return this.#entries.length === 0 || this.#entries[this.#entries.length - 1]!.last.seq < seq;
  }

  #newestOutBelow(seq: number): number | undefined {
    for (let at = this.#indexAbove(seq) - 1; at >= this.#first; at -= 1) {
      const { state, last } = this.#entries[at]!;
      if (state === 'out') return last.seq;
    }
    return undefined;
  }

  #find(seq: number): Entry | undefined {
    const entry = this.#entries[this.#indexAbove(seq - 1)];
    return entry !== undefined && entry.first.seq <= seq ? entry : undefined;
  }

  /** Index of the first entry that ends above `seq`. */
  #indexAbove(seq: number): number {
    return indexAbove(this.#entries, seq, this.#first);
  }
}

function indexAbove(sorted: readonly Range[], seq: number, from: number): number {
  let low = from;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]!.last.seq <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Acknowledged neighbours as one. An epoch names one log, so a range never reaches into another. */
function joined(entries: readonly Entry[], from: number): Entry[] {
  const all: Entry[] = [];
  for (let at = from; at < entries.length; at += 1) {
    const entry = entries[at]!;
    const before = all.at(-1);
    const isJoined =
      entry.state === 'acked' && before?.state === 'acked' && before.first.epoch === entry.first.epoch;
    if (!isJoined) all.push(entry.state === 'acked' ? { ...entry } : entry);
    else before.last = entry.last;
  }
  return all;
}

/** The log may have lost its end since: then another epoch has other messages there. */
function holds({ first, last }: Range, { epoch, seq, tag }: Message): boolean {
  if (seq < first.seq || epoch !== first.epoch) return false;
  if (seq === first.seq) return tag === first.tag;
  return seq !== last.seq || tag === last.tag;
}

function formatRange({ first, last }: Range): AckedRange {
  return first.seq === last.seq ? formatCursor(first) : [formatCursor(first), formatCursor(last)];
}

function parseRange(range: AckedRange): Range | undefined {
  const [from, to] = typeof range === 'string' ? [range, range] : range;
  const first = parseCursor(from);
  const last = parseCursor(to);
  return first === undefined || last === undefined ? undefined : { first, last };
}
