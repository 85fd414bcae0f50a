import type { Position, Filter, Start } from '@everywire/protocol';
import { estimateBytes, type Message } from '../core/log/message.ts';
import type { Gap, Page, PageLimit } from '../core/seams/store.ts';
import { type TrimPoint, type LostRange, summarise } from './trim-point.ts';
import type { LogChannel, LogView } from './log-view.ts';
import { firstOf, mergeBySeq } from './merge.ts';

/** With more channels than this, walking the rows is cheaper than finding the beginning in each channel. */
const mergedChannelsMax = 64;
/** Rows that are read to find exactly which messages a channel lost. With more rows, a gap has only its end. */
const exactRangeRowsMax = 65_536;

interface Beginning {
  /** Messages after this seq are read. */
  readonly seq: number;
  readonly gap: Gap | undefined;
  /** False when everything that is left is read anyway, and one gap covers all. */
  readonly tellsEdges: boolean;
}

/**
 * The meaning of positions, the same for every store: where reading resumes after one, whether it is valid, and which
 * messages are missing after it.
 */
export class Reader<C extends LogChannel> {
  readonly #view: LogView<C>;

  constructor(view: LogView<C>) {
    this.#view = view;
  }

  read(filter: Filter, after: Position, limit: PageLimit): Page {
    const head = this.#view.head;
    const beginning = this.#begin(filter, after);
    const messages: Message[] = [];
    let bytes = 0;
    let isCut = false;
    for (const message of this.#messagesAfter(filter, beginning.seq)) {
      bytes += estimateBytes(message);
      isCut = messages.length > 0 && (messages.length >= limit.messagesMax || bytes > limit.bytesMax);
      if (isCut) break;
      messages.push(message);
    }
    const through = isCut ? messages.at(-1)!.position : head;
    const gaps = beginning.tellsEdges ? this.#edgeGaps(filter, beginning.seq, through, messages[0]) : [];
    return {
      messages,
      through,
      atHead: !isCut,
      gaps: beginning.gap === undefined ? gaps : [beginning.gap, ...gaps],
    };
  }

  locate(filter: Filter, start: Start): Position {
    switch (start.kind) {
      case 'latest':
        return this.#view.head;
      case 'earliest':
        return this.#earliest(filter);
      case 'last':
        return this.newest([filter], { messagesMax: start.count, bytesMax: Number.POSITIVE_INFINITY });
      case 'time':
        return this.#since(filter, start.timeMs);
    }
  }

  /** The place after which the newest messages of all filters together come. */
  newest(filters: readonly Filter[], { messagesMax, bytesMax }: PageLimit): Position {
    if (messagesMax === 0) return this.#view.head;
    const channels = new Set(filters.flatMap((filter) => this.#view.matching(filter)));
    let seen = 0;
    let bytes = 0;
    for (const message of mergeBySeq(
      [...channels].map((channel) => this.#view.backwards(channel)),
      -1,
    )) {
      seen += 1;
      bytes += estimateBytes(message);
      if (seen > messagesMax || (seen > 1 && bytes > bytesMax)) return message.position;
    }
    return filters
      .map((filter) => this.#earliest(filter))
      .reduce((left, right) => (right.seq < left.seq ? right : left));
  }

  /** Whether matching messages were ever trimmed or deleted. */
  hasTrimmed(filter: Filter): boolean {
    return this.#view.hasTrimPoint(filter);
  }

  /** A place such that `message` is the first matching one after it; the head when there is no message. */
  placeBefore(message: Message | undefined, filter: Filter): Position {
    if (message === undefined) return this.#view.head;
    const place = this.#place(message.seq - 1);
    if (place !== undefined) return place;
    // The row is forgotten. What this filter can name by itself is a trim point of its channels, or where everything began.
    let before: Position | undefined;
    for (const trimPoint of this.#view.trimPointsAfter(filter, 0)) {
      if (trimPoint.through.seq < message.seq) before = trimPoint.through;
    }
    return before ?? this.#view.history.origin;
  }

  /** Where reading after `position` starts, and whether the position is valid. */
  #begin(filter: Filter, position: Position): Beginning {
    const { history, head } = this.#view;
    const channel = filter.channel ?? filter.text;
    switch (history.judge(position, head.seq)) {
      case 'unknown':
        return this.#restart(filter);
      case 'beyond': {
        const seq = history.lastSeqOf(position.epoch, head.seq)!;
        const next = this.#place(seq) ?? this.#earliest(filter);
        return { seq, gap: { channel, reason: 'restored', next }, tellsEdges: true };
      }
      case 'possible': {
        const tag = this.#tagAt(position.seq, filter);
        if (tag === position.tag) return { seq: position.seq, gap: undefined, tellsEdges: true };
        if (tag !== undefined) return this.#restart(filter);
        // Too old to be checked. Its epoch is ours, so reading resumes there; messages may be missing in between.
        const next = this.placeBefore(this.#first(filter, position.seq), filter);
        return { seq: position.seq, gap: { channel, reason: 'retention', next }, tellsEdges: true };
      }
    }
  }

  #restart(filter: Filter): Beginning {
    const gap: Gap = {
      channel: filter.channel ?? filter.text,
      reason: 'restored',
      next: this.#earliest(filter),
    };
    return { seq: 0, gap, tellsEdges: false };
  }

  *#messagesAfter(filter: Filter, seq: number): Generator<Message, void, undefined> {
    const headSeq = this.#view.head.seq;
    if (seq >= headSeq) return;
    const channels = this.#view.matching(filter);
    if (channels.length <= mergedChannelsMax || seq < this.#view.floorSeq) {
      yield* mergeBySeq(channels.map((channel) => this.#view.after(channel, seq)));
      return;
    }
    // A scan in chunks, because a generator cannot yield from inside the visitor; small at first, for callers that want
    // one.
    for (let from = seq + 1, chunk = 16; from <= headSeq; from += chunk) {
      chunk = Math.min(2 * chunk, 1024);
      const found: Message[] = [];
      this.#view.scanRows(from, Math.min(headSeq, from + chunk - 1), (at, channelNo, offset) => {
        const channel = this.#view.matchingNo(filter, channelNo);
        const message = channel && this.#view.at(channel, at, offset);
        if (message !== undefined) found.push(message);
        return true;
      });
      yield* found;
    }
  }

  #edgeGaps(filter: Filter, afterSeq: number, through: Position, first: Message | undefined): readonly Gap[] {
    const trimPoints = this.#view.trimPointsAfter(filter, afterSeq);
    if (trimPoints.length === 0) return [];
    const lost = this.#lostRanges(trimPoints, afterSeq, through.seq);
    // One channel continues after its trim point. With several, another channel may have messages before that.
    const next = first === undefined ? through : this.placeBefore(first, filter);
    const gaps: Gap[] = [];
    for (const trimPoint of trimPoints) {
      const tellsOffsets = trimPoint.earlierSeq <= afterSeq;
      const range = tellsOffsets ? lost?.get(trimPoint.channelNo) : undefined;
      // The loss of this channel lies behind the end of the page, and the next page reports it.
      if (tellsOffsets && lost !== undefined && range === undefined) continue;
      gaps.push({
        channel: trimPoint.channel,
        from: range?.from,
        to: tellsOffsets ? (range?.to ?? trimPoint.offset) : undefined,
        reason: trimPoint.reason,
        next: filter.channel === undefined ? next : trimPoint.through,
      });
    }
    return summarise(gaps, filter.text, next);
  }

  /** What each trim point's channel lost after `afterSeq` and up to `throughSeq`; `undefined` where that would take too long. */
  #lostRanges(
    trimPoints: readonly TrimPoint[],
    afterSeq: number,
    throughSeq: number,
  ): ReadonlyMap<number, LostRange> | undefined {
    const lost = new Map<number, LostRange>();
    const trimPointOf = new Map(trimPoints.map((trimPoint) => [trimPoint.channelNo, trimPoint]));
    if (trimPoints.length === 1) {
      const trimPoint = trimPoints[0]!;
      const row = afterSeq > this.#view.floorSeq ? this.#view.row(afterSeq) : undefined;
      // A cursor read on this very channel, which is the usual one, says it without a search.
      if (row?.channelNo === trimPoint.channelNo && trimPoint.through.seq <= throughSeq) {
        return lost.set(trimPoint.channelNo, { from: row.offset + 1, to: trimPoint.offset });
      }
    }
    const end = Math.min(throughSeq, trimPoints.at(-1)!.through.seq);
    if (afterSeq < this.#view.floorSeq || end - afterSeq > exactRangeRowsMax) return undefined;
    this.#view.scanRows(afterSeq + 1, end, (seq, channelNo, offset) => {
      const trimPoint = trimPointOf.get(channelNo);
      if (trimPoint !== undefined && seq <= trimPoint.through.seq) {
        lost.set(channelNo, { from: lost.get(channelNo)?.from ?? offset, to: offset });
      }
      return true;
    });
    return lost;
  }

  #earliest(filter: Filter): Position {
    const first = this.#first(filter, 0);
    if (first === undefined) return this.#view.head;
    if (filter.channel === undefined) return this.placeBefore(first, filter);
    return this.#view.trimPointOf(filter.channel)?.through ?? this.#view.history.origin;
  }

  #since(filter: Filter, timeMs: number): Position {
    let first: Message | undefined;
    for (const channel of this.#view.matching(filter)) {
      const candidate = this.#view.since(channel, timeMs);
      if (candidate !== undefined && (first === undefined || candidate.seq < first.seq)) first = candidate;
    }
    return this.placeBefore(first, filter);
  }

  /** The first kept matching message above `seq`. */
  #first(filter: Filter, seq: number): Message | undefined {
    for (const message of this.#messagesAfter(filter, seq)) return message;
    return undefined;
  }

  #place(seq: number): Position | undefined {
    if (seq === 0) return this.#view.history.origin;
    const row = seq > this.#view.floorSeq ? this.#view.row(seq) : undefined;
    return row === undefined ? undefined : { epoch: this.#view.history.epochOf(seq), seq, tag: row.tag };
  }

  /** The tag of the message at `seq`, as far back as the rows or a matching channel know it. */
  #tagAt(seq: number, filter: Filter): string | undefined {
    if (seq === 0) return this.#view.history.origin.tag;
    const { head } = this.#view;
    if (seq === head.seq) return head.tag;
    const row = seq > this.#view.floorSeq ? this.#view.row(seq) : undefined;
    if (row !== undefined) return row.tag;
    for (const { through } of this.#view.trimPointsAfter(filter, seq - 1)) {
      if (through.seq === seq) return through.tag;
    }
    const channels = this.#view.matching(filter);
    if (channels.length > mergedChannelsMax) return undefined;
    for (const channel of channels) {
      const message = firstOf(this.#view.after(channel, seq - 1));
      if (message?.seq === seq) return message.tag;
    }
    return undefined;
  }
}
