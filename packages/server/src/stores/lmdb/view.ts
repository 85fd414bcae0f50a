import type { Position, Filter } from '@everywire/protocol';
import { Message } from '../../core/log/message.ts';
import type { TrimPoint } from '../trim-point.ts';
import type { EpochHistory } from '../epoch-history.ts';
import type { LogView, SeqRow } from '../log-view.ts';
import { type Blocks, Damage, type Found } from './blocks.ts';
import { type Channel, type Channels, trimPointsOf } from './channels.ts';
import type { Segments } from './segments.ts';

/** Rows searched for the first offset of a channel after a place, when the row of the place itself does not say. */
const searchRowsMax = 4096;

/** The damage found, and where reading resumes in that channel. */
export interface FoundDamage {
  readonly channel: string;
  readonly damage: Damage;
}

/** The log as the newest commit left it, for one read: damage that it meets is noted here. */
export class LmdbView implements LogView<Channel> {
  readonly history: EpochHistory;
  readonly head: Position;
  readonly damages: FoundDamage[] = [];
  readonly #channels: Channels;
  readonly #blocks: Blocks;
  readonly #segments: Segments;
  /** The block of each channel that `at` read last: the messages of one commit come one after the other. */
  readonly #recentBlocks = new Map<number, readonly Message[]>();

  constructor(parts: {
    readonly head: Position;
    readonly channels: Channels;
    readonly blocks: Blocks;
    readonly segments: Segments;
  }) {
    this.history = parts.channels.history;
    this.head = parts.head;
    this.#channels = parts.channels;
    this.#blocks = parts.blocks;
    this.#segments = parts.segments;
  }

  get floorSeq(): number {
    return this.#segments.floorSeq;
  }

  row(seq: number): SeqRow | undefined {
    return this.#segments.row(seq);
  }

  scanRows(
    fromSeq: number,
    throughSeq: number,
    visit: (seq: number, channelNo: number, offset: number) => boolean,
  ): void {
    this.#segments.scan(fromSeq, throughSeq, visit);
  }

  matching(filter: Filter): readonly Channel[] {
    if (filter.channel === undefined) return this.#channels.matching(filter).channels;
    const channel = this.#channels.get(filter.channel);
    return channel === undefined ? [] : [channel];
  }

  matchingNo(filter: Filter, channelNo: number): Channel | undefined {
    const channel = this.#channels.matching(filter).byNo.get(channelNo);
    return channel?.state.no === channelNo && channel.state.isLive ? channel : undefined;
  }

  *after(channel: Channel, seq: number): Generator<Message, void, undefined> {
    if (channel.count === 0 || channel.state.newest.seq <= seq) return;
    const { state } = channel;
    for (const found of this.#blocks.after(state, seq, this.head.seq, this.#offsetAfter(channel, seq))) {
      if (this.#isMessage(channel, found)) yield found;
    }
  }

  backwards(channel: Channel): Iterator<Message> {
    return channel.count === 0 ? [].values() : this.#blocks.backwards(channel.state, this.head.seq);
  }

  at(channel: Channel, seq: number, offset: number): Message | undefined {
    if (offset <= (channel.state.trimmed?.offset ?? 0)) return undefined;
    const recent = this.#recentBlocks.get(channel.state.no);
    let message = recent?.find((each) => each.seq === seq);
    if (message === undefined) {
      const block = this.#blocks.holding(channel.state, seq);
      this.#recentBlocks.set(channel.state.no, block);
      message = block.find((each) => each.seq === seq);
    }
    if (message === undefined) this.#isMessage(channel, new Damage(offset, offset));
    return message;
  }

  since(channel: Channel, timeMs: number): Message | undefined {
    return channel.count === 0 ? undefined : this.#blocks.since(channel.state, timeMs, this.head.seq);
  }

  trimPointsAfter(filter: Filter, seq: number): readonly TrimPoint[] {
    const trimPoints: TrimPoint[] = [];
    if (seq >= this.#channels.trimSeqMax) return trimPoints;
    for (const { state } of this.matching(filter)) {
      if ((state.trimmed?.seq ?? 0) <= seq && (state.ended.at(-1)?.seq ?? 0) <= seq) continue;
      for (const trimPoint of trimPointsOf(state, this.history))
        if (trimPoint.through.seq > seq) trimPoints.push(trimPoint);
    }
    return trimPoints.sort((a, b) => a.through.seq - b.through.seq);
  }

  hasTrimPoint(filter: Filter): boolean {
    if (this.#channels.trimSeqMax === 0) return false;
    return this.matching(filter).some(({ state }) => state.trimmed !== undefined || state.ended.length > 0);
  }

  trimPointOf(name: string): TrimPoint | undefined {
    const channel = this.#channels.get(name);
    return channel && trimPointsOf(channel.state, this.history).at(-1);
  }

  /** The offset that comes first after `seq`, so that damage at the very beginning is noticed. */
  #offsetAfter({ state }: Channel, seq: number): number | undefined {
    if (state.trimmed !== undefined && state.trimmed.seq >= seq) return state.trimmed.offset + 1;
    if (seq === (state.ended.at(-1)?.seq ?? 0)) return 1;
    if (seq <= this.floorSeq) return undefined;
    const row = this.row(seq);
    if (row?.channelNo === state.no) return row.offset + 1;
    let first: number | undefined;
    this.scanRows(seq + 1, Math.min(this.head.seq, seq + searchRowsMax), (_seq, channelNo, offset) => {
      if (channelNo === state.no) first = offset;
      return first === undefined;
    });
    return first;
  }

  #isMessage({ name }: Channel, found: Found): found is Message {
    if (found instanceof Message) return true;
    const before = this.damages.at(-1);
    if (before?.channel === name && before.damage.to + 1 === found.from) {
      this.damages[this.damages.length - 1] = {
        channel: name,
        damage: new Damage(before.damage.from, found.to),
      };
    } else {
      this.damages.push({ channel: name, damage: found });
    }
    return false;
  }
}
