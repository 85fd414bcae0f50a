import { epochLength, noTag, type Position } from '@everywire/protocol';
import type { Random } from '../core/clock.ts';

export interface EpochStart {
  readonly epoch: string;
  /** The first seq that can belong to it; an epoch in which nothing was appended shares it with the next one. */
  readonly firstSeq: number;
}

/** `possible`: the tag decides. `beyond`: this epoch is known here, but not that far. */
export type Verdict = 'possible' | 'beyond' | 'unknown';

/**
 * The seqs of each epoch of the log. Every opening by a writer starts a new epoch at head + 1, so when an older copy of
 * the data is put back, positions of the lost tail lie beyond the end of their epoch here. Nothing has to detect the
 * copy.
 */
export class EpochHistory {
  readonly #starts: readonly EpochStart[];
  readonly #indexes: ReadonlyMap<string, number>;

  /** `starts` in order, never empty. */
  constructor(starts: readonly EpochStart[]) {
    this.#starts = starts;
    this.#indexes = new Map(starts.map(({ epoch }, index) => [epoch, index]));
  }

  get starts(): readonly EpochStart[] {
    return this.#starts;
  }

  get current(): string {
    return this.#starts.at(-1)!.epoch;
  }

  /** The place before the first message that ever was. */
  get origin(): Position {
    return { epoch: this.#starts[0]!.epoch, seq: 0, tag: noTag };
  }

  /** The epoch in which `seq` was given out. */
  epochOf(seq: number): string {
    for (let index = this.#starts.length - 1; index > 0; index -= 1) {
      if (this.#starts[index]!.firstSeq <= seq) return this.#starts[index]!.epoch;
    }
    return this.#starts[0]!.epoch;
  }

  /** The last seq of `epoch`, where `headSeq` is the newest of the store; `undefined` for an epoch not known here. */
  lastSeqOf(epoch: string, headSeq: number): number | undefined {
    const index = this.#indexes.get(epoch);
    if (index === undefined) return undefined;
    const next = this.#starts[index + 1];
    return next === undefined ? headSeq : next.firstSeq - 1;
  }

  judge(position: Position, headSeq: number): Verdict {
    const last = this.lastSeqOf(position.epoch, headSeq);
    if (last === undefined) return 'unknown';
    if (position.seq > last) return 'beyond';
    // An epoch is also the name of the place at which it began.
    return position.seq >= this.#starts[this.#indexes.get(position.epoch)!]!.firstSeq - 1
      ? 'possible'
      : 'unknown';
  }
}

/** A name for a new life of the log, or of a channel. 36^6: two equal ones need a history of tens of thousands. */
export function newEpoch(random: Random, isTaken: (epoch: string) => boolean = () => false): string {
  for (;;) {
    const epoch = Number.parseInt(random.hex(6), 16)
      .toString(36)
      .slice(-epochLength)
      .padStart(epochLength, '0');
    if (!isTaken(epoch)) return epoch;
  }
}
