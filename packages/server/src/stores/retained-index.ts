import { type Filter, matches } from '@everywire/protocol';
import type { Message } from '../core/log/message.ts';

/** A retained message without its content. */
export interface RetainedEntry {
  readonly channel: string;
  readonly seq: number;
  readonly expiresAtMs: number | undefined;
}

/** Entries that were replaced or removed stay in the list until they are more than so many and than those that count. */
const staleEntriesMax = 64;

/** The retained messages in seq order, so that a page reads no message of another page. It keeps no payload. */
export class RetainedIndex {
  readonly #byChannel = new Map<string, RetainedEntry>();
  /** Also entries that do not count any more: those that are not in the map. */
  #bySeq: RetainedEntry[] = [];
  #isSorted = true;

  /** The newer one of a channel counts, whichever comes first. */
  set({ channel, seq, expiresAtMs }: Pick<Message, 'channel' | 'seq' | 'expiresAtMs'>): void {
    const known = this.#byChannel.get(channel);
    if (known !== undefined && known.seq >= seq) return;
    const entry: RetainedEntry = { channel, seq, expiresAtMs };
    this.#byChannel.set(channel, entry);
    this.#isSorted &&= (this.#bySeq.at(-1)?.seq ?? 0) < seq;
    this.#bySeq.push(entry);
    this.#dropStale();
  }

  /** With `seq` that one only: a newer one stays. */
  delete(channel: string, seq?: number): void {
    if (seq !== undefined && this.#byChannel.get(channel)?.seq !== seq) return;
    if (this.#byChannel.delete(channel)) this.#dropStale();
  }

  /** The entries of matching channels above `seq`, in seq order. */
  *after(filter: Filter, seq: number): Iterable<RetainedEntry> {
    if (filter.channel !== undefined) {
      const entry = this.#byChannel.get(filter.channel);
      if (entry !== undefined && entry.seq > seq) yield entry;
      return;
    }
    if (!this.#isSorted) {
      this.#bySeq.sort((left, right) => left.seq - right.seq);
      this.#isSorted = true;
    }
    const entries = this.#bySeq;
    for (let at = indexAbove(entries, seq); at < entries.length; at += 1) {
      const entry = entries[at]!;
      if (matches(filter, entry.channel) && this.#byChannel.get(entry.channel) === entry) yield entry;
    }
  }

  /** The expired entries. */
  expired(nowMs: number): RetainedEntry[] {
    const expired: RetainedEntry[] = [];
    for (const entry of this.#byChannel.values())
      if (entry.expiresAtMs !== undefined && entry.expiresAtMs <= nowMs) expired.push(entry);
    return expired;
  }

  /** Into a new list: a reader may be on its way through this one. */
  #dropStale(): void {
    if (this.#bySeq.length <= 2 * this.#byChannel.size + staleEntriesMax) return;
    this.#bySeq = this.#bySeq.filter((entry) => this.#byChannel.get(entry.channel) === entry);
  }
}

function indexAbove(entries: readonly RetainedEntry[], seq: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entries[middle]!.seq <= seq) low = middle + 1;
    else high = middle;
  }
  return low;
}
