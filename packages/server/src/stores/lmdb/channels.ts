import { EverywireError, type Filter, literalPrefix, matches } from '@everywire/protocol';
import type { Log } from '../../core/seams/log.ts';
import type { TrimPoint } from '../trim-point.ts';
import type { EpochHistory } from '../epoch-history.ts';
import type { Database } from './database.ts';
import { endOfPrefix, nameKey, nameOfKey } from './keys.ts';
import type { RecordHead } from './record.ts';
import { type ChannelState, decodeChannel, type Mark, unseal } from './rows.ts';

/** A block whose records are being trimmed one by one, read once. */
export interface OldestBlock {
  readonly firstSeq: number;
  readonly heads: readonly RecordHead[];
}

/** A channel, or the tombstone of one, as the newest commit left it. */
export class Channel {
  readonly name: string;
  state: ChannelState;
  oldest: OldestBlock | undefined;
  /** First seqs of blocks that were trimmed whole by an earlier commit, so that no reader needs them any more. */
  doomed: readonly number[] | undefined;
  /** Filters that remember this channel; it stays loaded for them. */
  pins = 0;

  constructor(state: ChannelState) {
    this.name = state.name;
    this.state = state;
  }

  get count(): number {
    const { isLive, newest, trimmed } = this.state;
    return isLive ? newest.offset - (trimmed?.offset ?? 0) : 0;
  }
}

interface Matching {
  readonly channels: Channel[];
  readonly byNo: Map<number, Channel>;
}

/** Channels kept loaded although they are unused, about 400 bytes each. */
const loadedMax = 20_000;
const filtersMax = 64;

/** Loads channels on demand. Knows only committed state. */
export class Channels {
  readonly history: EpochHistory;
  readonly #database: Database;
  readonly #log: Log;
  readonly #loaded = new Map<string, Channel>();
  readonly #matching = new Map<string, Matching>();
  /** Loaded channels that filters hold on to. */
  #pinned = 0;
  #trimSeqMax: number;
  #liveCount: number;

  constructor(database: Database, history: EpochHistory, log: Log, headSeq: number) {
    // What earlier openings trimmed is not known without reading every channel, and lies below their head.
    this.#trimSeqMax = headSeq;
    this.history = history;
    this.#database = database;
    this.#log = log;
    this.#liveCount = this.#countLive();
  }

  /** Channels that exist, without tombstones. */
  get liveCount(): number {
    return this.#liveCount;
  }

  /** No channel was trimmed or deleted beyond this seq: a reader at this seq misses nothing. */
  get trimSeqMax(): number {
    return this.#trimSeqMax;
  }

  /** The channel or its tombstone; `undefined` when that name was never used. */
  get(name: string): Channel | undefined {
    const known = this.#loaded.get(name);
    if (known !== undefined) return known;
    const key = nameKey(name);
    const row = this.#database.get('channels', key);
    if (row === undefined) return undefined;
    const state = this.#decode(name, key, row);
    if (state === undefined) {
      // To continue as if the channel were new would give its offsets a second meaning.
      throw new EverywireError('store_unavailable', 'The state of this channel is damaged in the store.');
    }
    return this.#load(state);
  }

  /** Takes over what a commit made of a channel that was `before`. */
  committed(state: ChannelState, before: ChannelState | undefined): Channel {
    this.#liveCount += Number(state.isLive) - Number(before?.isLive ?? false);
    this.#trimSeqMax = Math.max(this.#trimSeqMax, state.trimmed?.seq ?? 0, state.ended.at(-1)?.seq ?? 0);
    const known = this.#loaded.get(state.name);
    if (known === undefined) {
      const channel = this.#load(state);
      for (const [text, matching] of this.#matching) {
        if (!matches(filterOf(text), state.name)) continue;
        matching.channels.push(channel);
        matching.byNo.set(state.no, channel);
        this.#pin(channel);
      }
      return channel;
    }
    if (known.state.no !== state.no) {
      known.oldest = undefined;
      known.doomed = [];
      for (const { byNo, channels } of this.#matching.values()) {
        if (byNo.get(known.state.no) === known || channels.includes(known)) byNo.set(state.no, known);
      }
    }
    known.state = state;
    return known;
  }

  /** All channels and tombstones that match. The first time, their rows are read; then they are kept up to date. */
  matching(filter: Filter): Matching {
    const known = this.#matching.get(filter.text);
    if (known !== undefined) return known;
    const matching: Matching = { channels: [], byNo: new Map() };
    for (const state of this.#scan(filter, undefined)) {
      const channel = this.#loaded.get(state.name) ?? this.#load(state);
      this.#pin(channel);
      matching.channels.push(channel);
      matching.byNo.set(channel.state.no, channel);
    }
    this.#matching.set(filter.text, matching);
    if (this.#matching.size > filtersMax) this.#forgetFilter();
    return matching;
  }

  /** Channels that exist and match, by name, after the name `after`. */
  *list(filter: Filter, after: string | undefined): Generator<ChannelState, void, undefined> {
    for (const state of this.#scan(filter, after)) if (state.isLive) yield state;
  }

  /** Every channel and tombstone, in pages, as long as it takes. */
  *names(after: string | undefined): Generator<string, void, undefined> {
    const from = after === undefined ? undefined : Buffer.concat([nameKey(after), Buffer.alloc(1)]);
    for (const key of this.#database.keys('channels', { from })) yield nameOfKey(key);
  }

  /** The one time that all rows are read; a million take about a second. */
  #countLive(): number {
    let count = 0;
    for (const { key, value } of this.#database.range('channels', {})) {
      const state = this.#decode(nameOfKey(key), key, value);
      // A damaged channel may be alive.
      if (state?.isLive !== false) count += 1;
    }
    return count;
  }

  *#scan(filter: Filter, after: string | undefined): Generator<ChannelState, void, undefined> {
    const prefix = nameKey(literalPrefix(filter));
    // NUL is in no name, so this is the first key that a name after `after` can have.
    const above = after === undefined ? undefined : Buffer.concat([nameKey(after), Buffer.alloc(1)]);
    const from = above !== undefined && Buffer.compare(above, prefix) > 0 ? above : prefix;
    const start = from.length === 0 ? undefined : from;
    for (const { key, value } of this.#database.range('channels', { from: start, to: endOfPrefix(prefix) })) {
      const name = nameOfKey(key);
      if (!matches(filter, name)) continue;
      const state = this.#decode(name, key, value);
      if (state !== undefined) yield state;
    }
  }

  #decode(name: string, key: Buffer, row: Buffer): ChannelState | undefined {
    const content = unseal(key, row);
    if (content !== undefined) return decodeChannel(name, content);
    this.#log.error({ channel: name }, 'the row of a channel fails its checksum; run everywire doctor');
    return undefined;
  }

  #load(state: ChannelState): Channel {
    const channel = new Channel(state);
    this.#loaded.set(state.name, channel);
    if (this.#loaded.size - this.#pinned > loadedMax) this.#unloadSome();
    return channel;
  }

  /** Forgets the half of the unpinned that was loaded first. */
  #unloadSome(): void {
    let left = loadedMax >> 1;
    for (const [name, channel] of this.#loaded) {
      if (left === 0) return;
      if (channel.pins > 0) continue;
      // Its `doomed` blocks are found again when the channel is next written to.
      this.#loaded.delete(name);
      left -= 1;
    }
  }

  #pin(channel: Channel): void {
    if (channel.pins === 0) this.#pinned += 1;
    channel.pins += 1;
  }

  #forgetFilter(): void {
    const [text, matching] = this.#matching.entries().next().value!;
    for (const channel of matching.channels) {
      channel.pins -= 1;
      if (channel.pins === 0) this.#pinned -= 1;
    }
    this.#matching.delete(text);
  }
}

/** The filter of a text that is one already. */
function filterOf(text: string): Filter {
  return { text, levels: text.split('/'), channel: undefined };
}

/** Where a channel's messages are gone, oldest first. */
export function trimPointsOf(state: ChannelState, history: EpochHistory): readonly TrimPoint[] {
  const { name, no, trimmed, ended, endedBeforeSeq, isLive } = state;
  const trimPoint = (
    mark: Mark,
    channelNo: number,
    reason: TrimPoint['reason'],
    earlierSeq: number,
  ): TrimPoint => ({
    channel: name,
    channelNo,
    through: { epoch: history.epochOf(mark.seq), seq: mark.seq, tag: mark.tag },
    offset: mark.offset,
    earlierSeq,
    reason,
  });
  const trimPoints = ended.map((life) => trimPoint(life, life.no, 'deleted', endedBeforeSeq));
  if (isLive && trimmed !== undefined) trimPoints.push(trimPoint(trimmed, no, 'retention', 0));
  return trimPoints;
}
