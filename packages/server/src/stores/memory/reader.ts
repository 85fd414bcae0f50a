import type { Position } from '@everywire/protocol';
import type { Filter } from '../../core/filter.ts';
import { matches } from '../../core/filter.ts';
import { estimateBytes, type Message } from '../../core/message.ts';
import type { Gap, Page, PageLimit, Start } from '../../core/store.ts';
import { type Edge, type LostRange, summarise } from '../edges.ts';
import type { Lineage } from '../lineage.ts';
import type { Catalogue } from './catalogue.ts';
import type { ChannelLog } from './channel-log.ts';
import { mergeLogs } from './merge.ts';
import type { SeqIndex } from './seq-index.ts';

/** With more channels than this, walking the index is cheaper than finding the beginning in each. */
const mergedChannelsMax = 64;

interface Beginning {
  /** Messages after this seq are read. */
  readonly seq: number;
  readonly gap: Gap | undefined;
  /** False when everything that is left is read anyway, and the one gap says it all. */
  readonly tellEdges: boolean;
}

/** Everything that reads, by position. */
export class Reader {
  readonly #catalogue: Catalogue;
  readonly #index: SeqIndex;
  readonly #lineage: Lineage;

  constructor(catalogue: Catalogue, index: SeqIndex, lineage: Lineage) {
    this.#catalogue = catalogue;
    this.#index = index;
    this.#lineage = lineage;
  }

  get head(): Position {
    const seq = this.#index.headSeq;
    if (seq === 0) return { ...this.#lineage.origin, epoch: this.#lineage.current };
    return { epoch: this.#lineage.epochOf(seq), seq, tag: this.#index.tagAt(seq)! };
  }

  read(filter: Filter, after: Position, limit: PageLimit): Page {
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
    const through = isCut ? messages.at(-1)!.position : this.head;
    const edgeGaps = beginning.tellEdges ? this.#edgeGaps(filter, beginning.seq, through, messages[0]) : [];
    return {
      messages,
      through,
      atHead: !isCut,
      gaps: beginning.gap === undefined ? edgeGaps : [beginning.gap, ...edgeGaps],
    };
  }

  locate(filter: Filter, start: Start): Position {
    switch (start.kind) {
      case 'latest':
        return this.head;
      case 'earliest':
        return this.#earliest(filter);
      case 'last':
        return this.#last(filter, start.count);
      case 'time':
        return this.#since(filter, start.timeMs);
    }
  }

  /** Where reading after `position` begins, and whether the position can be believed. */
  #begin(filter: Filter, position: Position): Beginning {
    const channel = filter.channel ?? filter.text;
    switch (this.#lineage.judge(position, this.#index.headSeq)) {
      case 'unknown':
        return this.#restart(filter, channel);
      case 'beyond': {
        const seq = this.#lineage.lastSeqOf(position.epoch, this.#index.headSeq)!;
        const next = this.#place(seq) ?? this.#earliest(filter);
        return { seq, gap: { channel, reason: 'restored', next }, tellEdges: true };
      }
      case 'possible': {
        if (position.seq === 0)
          return position.tag === this.#lineage.origin.tag ? exact(0) : this.#restart(filter, channel);
        const tag = this.#tagAt(position.seq, filter);
        if (tag === position.tag) return exact(position.seq);
        if (tag !== undefined) return this.#restart(filter, channel);
        // Too old to be checked. The epoch is ours, so reading goes on where it says; that nothing is missing is not sure.
        const next = this.#placeBefore(this.#firstAfter(filter, position.seq), filter);
        return { seq: position.seq, gap: { channel, reason: 'retention', next }, tellEdges: true };
      }
    }
  }

  #restart(filter: Filter, channel: string): Beginning {
    return { seq: 0, gap: { channel, reason: 'restored', next: this.#earliest(filter) }, tellEdges: false };
  }

  *#messagesAfter(filter: Filter, seq: number): Generator<Message, void, undefined> {
    const logs = this.#catalogue.matching(filter);
    if (logs.length <= mergedChannelsMax || seq < this.#index.floorSeq) {
      yield* mergeLogs(logs, (log) => log.indexAfter(seq));
      return;
    }
    const isMatching = new Map<number, boolean>();
    for (let at = seq + 1; at <= this.#index.headSeq; at += 1) {
      const log = this.#catalogue.byNo(this.#index.channelNoAt(at)!);
      if (log === undefined) continue;
      let isWanted = isMatching.get(log.no);
      if (isWanted === undefined) isMatching.set(log.no, (isWanted = matches(filter, log.name)));
      if (!isWanted) continue;
      const message = log.atOffset(this.#index.offsetAt(at)!);
      if (message !== undefined) yield message;
    }
  }

  #edgeGaps(filter: Filter, afterSeq: number, through: Position, first: Message | undefined): readonly Gap[] {
    const edges = this.#catalogue.edgesAfter(filter, afterSeq);
    if (edges.length === 0) return [];
    const lost = this.#lostRanges(edges, afterSeq, through.seq);
    // One channel goes on behind its edge. With several, another channel may have messages before that.
    const next = first === undefined ? through : this.#placeBefore(first, filter);
    const gaps: Gap[] = [];
    for (const edge of edges) {
      const range = lost?.get(edge.channelNo);
      // What this channel lost lies behind the end of the page: the next page tells it.
      if (lost !== undefined && range === undefined) continue;
      gaps.push({
        channel: edge.channel,
        from: range?.from,
        to: range?.to ?? edge.offset,
        reason: edge.reason,
        next: filter.channel === undefined ? next : edge.through,
      });
    }
    return summarise(gaps, filter.text, next);
  }

  /** What each edge's channel lost after `afterSeq` and up to `throughSeq`; `undefined` where the index forgot it. */
  #lostRanges(
    edges: readonly Edge[],
    afterSeq: number,
    throughSeq: number,
  ): ReadonlyMap<number, LostRange> | undefined {
    if (afterSeq < this.#index.floorSeq) return undefined;
    const edgeOf = new Map(edges.map((edge) => [edge.channelNo, edge]));
    const lost = new Map<number, LostRange>();
    const end = Math.min(throughSeq, edges.at(-1)!.through.seq);
    for (let seq = afterSeq + 1; seq <= end; seq += 1) {
      const channelNo = this.#index.channelNoAt(seq)!;
      const edge = edgeOf.get(channelNo);
      if (edge === undefined || seq > edge.through.seq) continue;
      const offset = this.#index.offsetAt(seq)!;
      lost.set(channelNo, { from: lost.get(channelNo)?.from ?? offset, to: offset });
    }
    return lost;
  }

  #earliest(filter: Filter): Position {
    if (filter.channel !== undefined) {
      const log = this.#catalogue.get(filter.channel);
      if (log === undefined || log.count === 0) return this.head;
      const edge = log.edge ?? this.#catalogue.tombstone(filter.channel);
      return edge?.through ?? this.#lineage.origin;
    }
    const first = this.#firstAfter(filter, 0);
    return first === undefined ? this.head : this.#placeBefore(first, filter);
  }

  #last(filter: Filter, count: number): Position {
    if (count === 0) return this.head;
    let seen = 0;
    for (const message of mergeLogs(this.#catalogue.matching(filter), (log) => log.count - 1, -1)) {
      seen += 1;
      if (seen > count) return message.position;
    }
    return this.#earliest(filter);
  }

  #since(filter: Filter, timeMs: number): Position {
    let first: Message | undefined;
    for (const log of this.#catalogue.matching(filter)) {
      const candidate = log.at(log.indexOf((message) => message.timeMs >= timeMs));
      if (candidate !== undefined && (first === undefined || candidate.seq < first.seq)) first = candidate;
    }
    return first === undefined ? this.head : this.#placeBefore(first, filter);
  }

  #firstAfter(filter: Filter, seq: number): Message | undefined {
    let first: Message | undefined;
    for (const log of this.#catalogue.matching(filter)) {
      const candidate = log.at(log.indexAfter(seq));
      if (candidate !== undefined && (first === undefined || candidate.seq < first.seq)) first = candidate;
    }
    return first;
  }

  /** A place such that `message` is the first matching one after it; the head when there is no message. */
  #placeBefore(message: Message | undefined, filter: Filter): Position {
    if (message === undefined) return this.head;
    const exactPlace = this.#place(message.seq - 1);
    if (exactPlace !== undefined) return exactPlace;
    let before: Position | undefined;
    for (const log of this.#catalogue.matching(filter)) {
      const candidate = log.at(log.indexAfter(message.seq - 1) - 1)?.position ?? log.edge?.through;
      if (candidate !== undefined && candidate.seq < message.seq && candidate.seq > (before?.seq ?? 0)) {
        before = candidate;
      }
    }
    return before ?? this.#lineage.origin;
  }

  #place(seq: number): Position | undefined {
    if (seq === 0) return this.#lineage.origin;
    const tag = this.#index.tagAt(seq);
    return tag === undefined ? undefined : { epoch: this.#lineage.epochOf(seq), seq, tag };
  }

  /** The tag of the message at `seq`, as far back as the index or a matching channel knows it. */
  #tagAt(seq: number, filter: Filter): string | undefined {
    const indexed = this.#index.tagAt(seq);
    if (indexed !== undefined) return indexed;
    for (const log of this.#catalogue.matching(filter)) {
      const tag = tagIn(log, seq);
      if (tag !== undefined) return tag;
    }
    const tombstone = filter.channel === undefined ? undefined : this.#catalogue.tombstone(filter.channel);
    return tombstone?.through.seq === seq ? tombstone.through.tag : undefined;
  }
}

function tagIn(log: ChannelLog, seq: number): string | undefined {
  if (log.edge?.through.seq === seq) return log.edge.through.tag;
  const message = log.at(log.indexAfter(seq - 1));
  return message?.seq === seq ? message.tag : undefined;
}

function exact(seq: number): Beginning {
  return { seq, gap: undefined, tellEdges: true };
}
