import type { Position, Filter } from '@everywire/protocol';
import type { Message } from '../../core/log/message.ts';
import type { TrimPoint } from '../trim-point.ts';
import type { EpochHistory } from '../epoch-history.ts';
import type { LogView, SeqRow } from '../log-view.ts';
import type { Catalogue } from './catalogue.ts';
import type { ChannelLog } from './channel-log.ts';
import type { SeqIndex } from './seq-index.ts';

/** The channels of this process, as `Reader` sees a log. */
export class MemoryView implements LogView<ChannelLog> {
  readonly history: EpochHistory;
  readonly #catalogue: Catalogue;
  readonly #index: SeqIndex;

  constructor(catalogue: Catalogue, index: SeqIndex, history: EpochHistory) {
    this.#catalogue = catalogue;
    this.#index = index;
    this.history = history;
  }

  get head(): Position {
    const seq = this.#index.headSeq;
    if (seq === 0) return this.history.origin;
    return { epoch: this.history.epochOf(seq), seq, tag: this.#index.tagAt(seq)! };
  }

  get floorSeq(): number {
    return this.#index.floorSeq;
  }

  row(seq: number): SeqRow | undefined {
    const tag = this.#index.tagAt(seq);
    if (tag === undefined) return undefined;
    return { channelNo: this.#index.channelNoAt(seq)!, offset: this.#index.offsetAt(seq)!, tag };
  }

  scanRows(
    fromSeq: number,
    throughSeq: number,
    visit: (seq: number, channelNo: number, offset: number) => boolean,
  ): void {
    for (let seq = fromSeq; seq <= throughSeq; seq += 1) {
      if (!visit(seq, this.#index.channelNoAt(seq)!, this.#index.offsetAt(seq)!)) return;
    }
  }

  matching(filter: Filter): readonly ChannelLog[] {
    return this.#catalogue.matching(filter);
  }

  matchingNo(filter: Filter, channelNo: number): ChannelLog | undefined {
    return this.#catalogue.matchingNo(filter, channelNo);
  }

  *after(log: ChannelLog, seq: number): Generator<Message, void, undefined> {
    for (let index = log.indexAfter(seq); index < log.count; index += 1) yield log.at(index)!;
  }

  *backwards(log: ChannelLog): Generator<Message, void, undefined> {
    for (let index = log.count - 1; index >= 0; index -= 1) yield log.at(index)!;
  }

  at(log: ChannelLog, _seq: number, offset: number): Message | undefined {
    return log.atOffset(offset);
  }

  since(log: ChannelLog, timeMs: number): Message | undefined {
    return log.at(log.indexOf((message) => message.timeMs >= timeMs));
  }

  trimPointsAfter(filter: Filter, seq: number): readonly TrimPoint[] {
    return this.#catalogue.trimPointsAfter(filter, seq);
  }

  hasTrimPoint(filter: Filter): boolean {
    return this.#catalogue.hasTrimPoint(filter);
  }

  trimPointOf(name: string): TrimPoint | undefined {
    return this.#catalogue.get(name)?.trimPoint ?? this.#catalogue.tombstone(name);
  }
}
