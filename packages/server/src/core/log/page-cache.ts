import { type Position, matches, type Filter } from '@everywire/protocol';
import { Batch } from './batch.ts';
import { estimateBytes, type Message } from './message.ts';
import type { Page } from '../seams/store.ts';

/** A page without gaps: everything that matches in (after, through], as a batch that keeps its encodings. */
export interface CachedPage {
  readonly after: Position;
  readonly through: Position;
  /** `undefined` when nothing matched. */
  readonly batch: Batch | undefined;
}

interface Slot extends CachedPage {
  readonly filter: Filter;
  readonly bytes: number;
  usedAtMs: number;
}

/** Encodings are remembered with the page: count them once over, for the wire that is used most. */
const encodedShare = 2;

/**
 * Pages that several readers of a filter catch up through. A reader at any place inside a page gets the rest of it, and
 * is then at its end like all others: readers that came back at different places converge, and share one read and one
 * encoding from there on.
 */
export class PageCache {
  readonly #bytesMax: number;
  readonly #byFilter = new Map<string, Slot[]>();
  /** In order of use, oldest first. */
  readonly #byUse = new Set<Slot>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * The rest of a page after `position`. `isTrusted` says that the position was checked before; otherwise it must be
   * recognised (epoch and tag), or only the store can say whether it is a gap.
   */
  find(filter: Filter, position: Position, isTrusted: boolean, nowMs: number): CachedPage | undefined {
    const slots = this.#byFilter.get(filter.text);
    if (slots === undefined) return undefined;
    const slot = slots[lastAtOrBefore(slots, position.seq)];
    if (slot === undefined || slot.through.seq <= position.seq) return undefined;
    if (!isTrusted && !recognises(slot, position)) return undefined;
    slot.usedAtMs = nowMs;
    this.#byUse.delete(slot);
    this.#byUse.add(slot);
    if (slot.after.seq === position.seq) return slot;
    return { after: position, through: slot.through, batch: slot.batch?.since(position.seq) };
  }

  /** Keeps a page that was read after `after`, unless it has gaps, which are for one reader's position only, or is stale. */
  add(
    filter: Filter,
    after: Position,
    page: Page,
    { nowMs, isStale }: { readonly nowMs: number; readonly isStale: boolean },
  ): CachedPage {
    const batch = page.messages.length === 0 ? undefined : new Batch(page.messages);
    const bytes = page.messages.reduce((sum, message) => sum + estimateBytes(message), 200) * encodedShare;
    const slot: Slot = { filter, after, through: page.through, batch, bytes, usedAtMs: nowMs };
    if (isStale || page.gaps.length > 0 || batch === undefined || bytes > this.#bytesMax) return slot;
    const slots = this.#byFilter.get(filter.text) ?? [];
    const twin = slots[lastAtOrBefore(slots, after.seq)];
    if (twin?.after.seq === after.seq) this.#remove(twin);
    slots.splice(lastAtOrBefore(slots, after.seq) + 1, 0, slot);
    // Also where the twin was the last of its list, which went with it.
    this.#byFilter.set(filter.text, slots);
    this.#byUse.add(slot);
    this.#bytes += bytes;
    for (const oldest of this.#byUse) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#remove(oldest);
    }
    return slot;
  }

  /** Forgets pages that may hold messages of a channel that was deleted. */
  forgetChannel(channel: string): void {
    for (const slot of [...this.#byUse]) if (matches(slot.filter, channel)) this.#remove(slot);
  }

  /** Forgets pages that were not used since `sinceMs`: readers come in storms, and the next storm needs the memory. */
  forgetUnused(sinceMs: number): void {
    for (const slot of this.#byUse) {
      if (slot.usedAtMs >= sinceMs) break;
      this.#remove(slot);
    }
  }

  /**
   * Forgets pages that end after `seq`. A store has found that messages after it are gone: a reader that gets this news
   * must not find them in an older page. Later pages go too, because the gap of a wildcard can reach beyond its page.
   */
  forgetAfter(filter: Filter, seq: number): void {
    for (const slot of [...(this.#byFilter.get(filter.text) ?? [])])
      if (slot.through.seq > seq) this.#remove(slot);
  }

  #remove(slot: Slot): void {
    if (!this.#byUse.delete(slot)) return;
    this.#bytes -= slot.bytes;
    const slots = this.#byFilter.get(slot.filter.text)!;
    slots.splice(slots.indexOf(slot), 1);
    if (slots.length === 0) this.#byFilter.delete(slot.filter.text);
  }
}

/** Index of the last slot whose `after` is at or before `seq`, or -1. */
function lastAtOrBefore(slots: readonly Slot[], seq: number): number {
  let low = 0;
  let high = slots.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (slots[middle]!.after.seq <= seq) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function recognises(slot: Slot, position: Position): boolean {
  if (isSamePlace(slot.after, position)) return true;
  return slot.batch?.messages.some((message: Message) => isSamePlace(message, position)) ?? false;
}

export function isSamePlace(left: Position, right: Position): boolean {
  return left.seq === right.seq && left.tag === right.tag && left.epoch === right.epoch;
}
