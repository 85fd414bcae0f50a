import { formatCursor, parseCursor, type Position } from '@everywire/protocol';
import { InFlight } from './in-flight.ts';
import type { Message } from '../log/message.ts';
import { isSamePlace } from '../log/page-cache.ts';
import type { Progress } from '../seams/subscription-api.ts';

export interface WindowOptions {
  /** Messages delivered and not acknowledged, at most. */
  readonly messagesMax: number;
  /** Where an earlier subscription stood. */
  readonly progress?: Progress | undefined;
}

/**
 * `out` delivered and not acknowledged · `awaited` to be delivered again · `acked` above something that is not.
 */
type State = 'out' | 'awaited' | 'acked';

interface Entry {
  readonly place: Position;
  state: State;
}

/**
 * What was delivered and is not acknowledged yet, and what was acknowledged out of order above it. Its size is bounded,
 * so a subscription stays a cursor and a window. The acknowledged position passes nothing that this window was not
 * offered since it began, or since it went back: what an earlier one had acknowledged says nothing of what lies between.
 */
export class Window {
  readonly #messagesMax: number;
  readonly #inFlight = new InFlight<Entry>();
  /** By seq, from `#first` on: everything that the acknowledged position has not passed. */
  #entries: Entry[] = [];
  #first = 0;
  #ackedCount = 0;
  #awaitedCount = 0;
  /** Acknowledged in an earlier subscription and not reached again yet, by seq, from `#firstKnown` on. */
  #known: readonly Position[] = [];
  #firstKnown = 0;
  #ackedThrough: Position;
  /** Everything up to here was offered. */
  #passedSeq: number;
  #deliveredWatermark: number;
  redeliveredThroughSeq = 0;

  constructor(options: WindowOptions, start: Position) {
    this.#messagesMax = options.messagesMax;
    this.#ackedThrough = start;
    this.#passedSeq = start.seq;
    this.#deliveredWatermark = start.seq;
    if (options.progress !== undefined) this.restore(options.progress);
  }

  /** Goes on where an earlier window stood; before anything is delivered. */
  restore(progress: Progress): void {
    this.redeliveredThroughSeq = progress.deliveredWatermark;
    this.#known = progress.acksAboveWatermark
      .map((cursor) => parseCursor(cursor))
      .filter((place) => place !== undefined)
      .sort((left, right) => left.seq - right.seq);
  }

  /** Nothing is under way, and nothing was acknowledged out of order. */
  get isEmpty(): boolean {
    return this.#length === 0 && this.#firstKnown === this.#known.length;
  }

  get progress(): Progress {
    const acksAboveWatermark = this.#known.slice(this.#firstKnown).map((place) => formatCursor(place));
    for (let at = this.#first; at < this.#entries.length; at += 1) {
      const { state, place } = this.#entries[at]!;
      if (state === 'acked') acksAboveWatermark.push(formatCursor(place));
    }
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

  /**
   * How many more may be delivered. Those acknowledged out of order still count: the position cannot pass the gap.
   * One is always allowed while nothing is under way, also where an earlier window was larger.
   */
  get room(): number {
    const out = this.#inFlight.size;
    const room = this.#messagesMax - out - this.#ackedCount - (this.#known.length - this.#firstKnown);
    return out === 0 ? Math.max(1, room) : room;
  }

  /** Once it is known where the subscription begins. In another log, what was acknowledged in this one means nothing. */
  startAt(start: Position, isOtherLog: boolean): void {
    this.#ackedThrough = start;
    this.#passedSeq = start.seq;
    this.#deliveredWatermark = start.seq;
    this.#known = isOtherLog ? [] : this.#known.filter(({ seq }) => seq > start.seq);
    this.#firstKnown = 0;
  }

  /** False for what is under way or acknowledged already. Another message at a place that was acknowledged is wanted. */
  isWanted(message: Message): boolean {
    const entry = this.#isNewest(message.seq) ? undefined : this.#find(message.seq);
    if (entry !== undefined) return entry.state === 'awaited';
    const at = indexAbove(this.#known, message.seq - 1, this.#firstKnown, (place) => place.seq);
    return at === this.#known.length || !isSamePlace(this.#known[at]!, message);
  }

  /** Delivers `messages`; `before` is where the subscription stood. */
  add(messages: readonly Message[], before: Position): void {
    if (this.isEmpty) this.#ackedThrough = before;
    for (const message of messages) {
      this.#reachKnown(message.seq - 1);
      this.#inFlight.add(message.seq, this.#enter(message, 'out'));
      if (message.seq > this.#deliveredWatermark) this.#deliveredWatermark = message.seq;
    }
  }

  /** The subscription was offered everything up to `position`. What was to come again and did not has expired or is gone. */
  pass(position: Position): void {
    this.#reachKnown(position.seq);
    if (this.#awaitedCount > 0) {
      for (let at = this.#indexAbove(this.#passedSeq); at < this.#entries.length; at += 1) {
        const entry = this.#entries[at]!;
        if (entry.place.seq > position.seq) break;
        if (entry.state === 'awaited') this.#set(entry, 'acked');
      }
    }
    this.#passedSeq = position.seq;
    this.#advance();
  }

  /**
   * Acknowledges `only` that message, or it and everything delivered before it. For a seq that is not under way, what is
   * so below it; alone, nothing.
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
    return this.#goBack(position, at === this.#first ? this.#ackedThrough : this.#entries[at - 1]!.place);
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

  /** What an earlier subscription had acknowledged takes its place among the entries when it is reached. */
  #reachKnown(throughSeq: number): void {
    while (this.#firstKnown < this.#known.length && this.#known[this.#firstKnown]!.seq <= throughSeq) {
      const place = this.#known[this.#firstKnown]!;
      this.#firstKnown += 1;
      this.#enter(place, 'acked');
    }
  }

  #enter({ epoch, seq, tag }: Position, state: State): Entry {
    // Another message at its place takes over from one that was acknowledged in an earlier life of the log.
    if (this.#known[this.#firstKnown]?.seq === seq) this.#firstKnown += 1;
    const at = this.#isNewest(seq) ? this.#entries.length : this.#indexAbove(seq - 1);
    let entry = this.#entries[at];
    if (entry?.place.seq !== seq) {
      // A place of its own: the message would keep its payload alive.
      entry = { place: { epoch, seq, tag }, state: 'out' };
      if (at === this.#entries.length) this.#entries.push(entry);
      else this.#entries.splice(at, 0, entry);
    }
    this.#set(entry, state);
    return entry;
  }

  #advance(): void {
    while (this.#first < this.#entries.length) {
      const entry = this.#entries[this.#first]!;
      // After it went back, what was acknowledged before has to be reached first, or it would be wanted again.
      if (entry.state !== 'acked' || entry.place.seq > this.#passedSeq) break;
      this.#ackedThrough = entry.place;
      this.#ackedCount -= 1;
      this.#first += 1;
    }
    if (this.#first === this.#entries.length) {
      this.#entries = [];
      this.#first = 0;
    } else if (this.#first > 32 && this.#first > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  #isNewest(seq: number): boolean {
    return this.#entries.length === 0 || this.#entries[this.#entries.length - 1]!.place.seq < seq;
  }

  #newestOutBelow(seq: number): number | undefined {
    for (let at = this.#indexAbove(seq) - 1; at >= this.#first; at -= 1) {
      const { state, place } = this.#entries[at]!;
      if (state === 'out') return place.seq;
    }
    return undefined;
  }

  #find(seq: number): Entry | undefined {
    const entry = this.#entries[this.#indexAbove(seq - 1)];
    return entry?.place.seq === seq ? entry : undefined;
  }

  /** Index of the first entry above `seq`. */
  #indexAbove(seq: number): number {
    return indexAbove(this.#entries, seq, this.#first, ({ place }) => place.seq);
  }
}

function indexAbove<T>(sorted: readonly T[], seq: number, from: number, seqOf: (item: T) => number): number {
  let low = from;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (seqOf(sorted[middle]!) <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
