import { type Filter, literalPrefix, matches } from '@everywire/protocol';
import { type TrimPoint, endedLivesMax } from '../trim-point.ts';
import { ChannelLog } from './channel-log.ts';
import { compareCodeUnits, SortedKeys } from './sorted-keys.ts';

interface Matching {
  readonly logs: ChannelLog[];
  readonly nos: Set<number>;
  /** Channels above this number were made later and have not been looked at. */
  lookedThroughNo: number;
}

/** Filters whose channels are remembered between reads. */
const filtersMax = 256;

/** The channels, and the tombstones of deleted ones. */
export class Catalogue {
  readonly #byName = new Map<string, ChannelLog>();
  /** Index = channel number; a hole is a life that has ended. */
  readonly #byNo: (ChannelLog | undefined)[] = [];
  readonly #names = new SortedKeys(compareCodeUnits);
  /** Where deleted channels ended, life by life, the newest last. A channel that was made again keeps its tombstones. */
  readonly #tombstones = new Map<string, readonly TrimPoint[]>();
  readonly #matching = new Map<string, Matching>();

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): ChannelLog | undefined {
    return this.#byName.get(name);
  }

  tombstone(name: string): TrimPoint | undefined {
    return this.#tombstones.get(name)?.at(-1);
  }

  all(): Iterable<ChannelLog> {
    return this.#byName.values();
  }

  add(name: string, epoch: string): ChannelLog {
    const log = new ChannelLog(name, this.#byNo.length, epoch);
    this.#byNo.push(log);
    this.#byName.set(name, log);
    this.#names.add(name);
    return log;
  }

  remove(log: ChannelLog, tombstone: TrimPoint): void {
    this.#byName.delete(log.name);
    this.#byNo[log.no] = undefined;
    this.#names.remove(log.name);
    const lives = [...(this.#tombstones.get(log.name) ?? []), tombstone];
    const forgotten = lives.at(-endedLivesMax - 1);
    this.#tombstones.set(
      log.name,
      forgotten === undefined
        ? lives
        : lives.slice(-endedLivesMax).map((life) => ({ ...life, earlierSeq: forgotten.through.seq })),
    );
    this.#matching.clear();
  }

  /** Positions up to `seq` cannot be checked any more and are gaps anyway, so no tombstone is needed for them. */
  forgetTombstonesThrough(seq: number): void {
    for (const [name, trimPoints] of this.#tombstones) {
      const kept = trimPoints.filter(({ through }) => through.seq > seq);
      if (kept.length === 0) this.#tombstones.delete(name);
      else if (kept.length < trimPoints.length) this.#tombstones.set(name, kept);
    }
  }

  matching(filter: Filter): readonly ChannelLog[] {
    if (filter.channel !== undefined) {
      const log = this.#byName.get(filter.channel);
      return log === undefined ? [] : [log];
    }
    return this.#matchingOf(filter).logs;
  }

  matchingNo(filter: Filter, no: number): ChannelLog | undefined {
    return this.#matchingOf(filter).nos.has(no) ? this.#byNo[no] : undefined;
  }

  /** Where matching channels were trimmed or deleted after `seq`, in that order of seq. */
  trimPointsAfter(filter: Filter, seq: number): readonly TrimPoint[] {
    const trimPoints: TrimPoint[] = [];
    for (const log of this.matching(filter)) if (log.trimPoint !== undefined) trimPoints.push(log.trimPoint);
    if (filter.channel !== undefined) {
      trimPoints.push(...(this.#tombstones.get(filter.channel) ?? []));
    } else {
      for (const [name, lives] of this.#tombstones) if (matches(filter, name)) trimPoints.push(...lives);
    }
    return trimPoints
      .filter((trimPoint) => trimPoint.through.seq > seq)
      .sort((a, b) => a.through.seq - b.through.seq);
  }

  hasTrimPoint(filter: Filter): boolean {
    if (this.matching(filter).some((log) => log.trimPoint !== undefined)) return true;
    if (filter.channel !== undefined) return this.#tombstones.has(filter.channel);
    for (const name of this.#tombstones.keys()) if (matches(filter, name)) return true;
    return false;
  }

  /** Matching channels by name, after the name `after`. */
  list(filter: Filter, after: string | undefined, limit: number): readonly ChannelLog[] {
    const prefix = literalPrefix(filter);
    const names = this.#names.all();
    const found: ChannelLog[] = [];
    let at = Math.max(this.#names.above(after), this.#names.notBelow(prefix));
    for (; at < names.length && found.length < limit; at += 1) {
      const name = names[at]!;
      if (!name.startsWith(prefix)) break;
      if (matches(filter, name)) found.push(this.#byName.get(name)!);
    }
    return found;
  }

  #matchingOf(filter: Filter): Matching {
    const known = this.#matching.get(filter.text) ?? { logs: [], nos: new Set(), lookedThroughNo: -1 };
    if (known.lookedThroughNo === this.#byNo.length - 1) return known;
    for (let no = known.lookedThroughNo + 1; no < this.#byNo.length; no += 1) {
      const log = this.#byNo[no];
      if (log === undefined || !matches(filter, log.name)) continue;
      known.logs.push(log);
      known.nos.add(no);
    }
    known.lookedThroughNo = this.#byNo.length - 1;
    // The entry with the oldest addition is removed first.
    this.#matching.delete(filter.text);
    this.#matching.set(filter.text, known);
    if (this.#matching.size > filtersMax) this.#matching.delete(this.#matching.keys().next().value!);
    return known;
  }
}
