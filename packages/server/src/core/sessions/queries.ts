import { formatCursor, type Filter, type Position, type Start } from '@everywire/protocol';
import type { Clock } from '../clock.ts';
import type { Dispatcher } from '../fanout/dispatcher.ts';
import { readableGaps } from '../fanout/readable-gap.ts';
import type { Limits } from '../limits.ts';
import type { Message } from '../log/message.ts';
import type { ListedChannel, ReadPage, RetainedMessages } from '../seams/session-api.ts';
import type { ChannelInfo, Page, PageLimit, Store } from '../seams/store.ts';
import type { Access, Identity } from './access.ts';
import { mergePages, newest } from './merge-pages.ts';

export interface QueriesParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly access: Access;
  readonly dispatcher: Dispatcher;
}

/** A place to read from, checked. */
export type ReadFrom = { readonly cursor: Position } | { readonly since: Start };

/** Answers what an identity asks about the log. Its right to the filter was checked. */
export class Queries {
  readonly #parts: QueriesParts;
  /**
   * Of pages that were found unchanged: when their first message expires. Reading the page again for each client that has
   * it costs three times as much as the answer.
   */
  readonly #unchangedUntilMs = new Map<string, number>();

  constructor(parts: QueriesParts) {
    this.#parts = parts;
  }

  /** One page of one or several filters, in the order of the store. `from` absent: the newest messages. */
  async read(
    identity: Identity,
    filters: readonly Filter[],
    from: ReadFrom | undefined,
    messagesMax: number,
  ): Promise<ReadPage> {
    const limit = this.#limit(messagesMax);
    if (from === undefined) return (await this.#newest(identity, filters, limit)).page;
    const places = await this.#placesOf(filters, from);
    const page = await this.#pageAfter(identity, filters, places, limit);
    return this.#forReader(page, !page.atHead);
  }

  /**
   * Whether the page of the newest messages is what it was when it ended at `place`. False also where that cannot be
   * known: where messages of the filters were ever trimmed or deleted, an earlier page may have shown them.
   */
  async isNewestUnchanged(
    identity: Identity,
    filters: readonly Filter[],
    place: Position,
    messagesMax: number,
  ): Promise<boolean> {
    const places = filters.map(() => place);
    const news = await this.#pageAfter(identity, filters, places, this.#limit(1));
    if (!news.atHead || news.messages.length > 0 || news.gaps.length > 0) return false;
    const key = `${formatCursor(place)} ${messagesMax} ${filters.map(({ text }) => text).join('\0')}`;
    const { access, clock } = this.#parts;
    const readsAll = filters.every((filter) => access.deliverable(identity, filter) === undefined);
    const validUntilMs = readsAll ? this.#unchangedUntilMs.get(key) : undefined;
    if (validUntilMs !== undefined && clock.nowMs() < validUntilMs && !(await this.#hasTrimmed(filters))) {
      return true;
    }
    const { page, all } = await this.#newest(identity, filters, this.#limit(messagesMax));
    if (page.hasExpired) return false;
    const isLogOfOne = filters.length === 1 && filters[0]!.channel !== undefined;
    // Nothing follows it, so the same messages in a row end one channel now and did so then.
    const isFull = isLogOfOne && all.length > 0 && (all.length === messagesMax || page.more);
    const isUnchanged = isFull ? hasNoHole(all) : !(await this.#hasTrimmed(filters));
    if (isUnchanged && readsAll) this.#noteUnchanged(key, all);
    return isUnchanged;
  }

  async #hasTrimmed(filters: readonly Filter[]): Promise<boolean> {
    const trimmed = await Promise.all(filters.map((filter) => this.#parts.store.hasTrimmed(filter)));
    return trimmed.includes(true);
  }

  #noteUnchanged(key: string, messages: readonly Message[]): void {
    const known = this.#unchangedUntilMs;
    known.set(key, Math.min(...messages.map(({ expiresAtMs }) => expiresAtMs ?? Number.POSITIVE_INFINITY)));
    if (known.size > unchangedPagesMax) known.delete(known.keys().next().value!);
  }

  /** Where several filters begin together. */
  async locate(filters: readonly Filter[], start: Start): Promise<readonly Position[]> {
    if (start.kind !== 'last' || filters.length === 1) {
      return Promise.all(filters.map((filter) => this.#parts.store.locate(filter, start)));
    }
    return this.#placesOfNewest(filters, {
      messagesMax: start.count,
      bytesMax: Number.POSITIVE_INFINITY,
    });
  }

  async #placesOf(filters: readonly Filter[], from: ReadFrom): Promise<readonly Position[]> {
    return 'cursor' in from ? filters.map(() => from.cursor) : this.locate(filters, from.since);
  }

  /** A filter whose messages were trimmed begins no earlier than it has some, or the reader would get a gap. */
  async #placesOfNewest(filters: readonly Filter[], limit: PageLimit): Promise<readonly Position[]> {
    const { store } = this.#parts;
    const together = await store.newest(filters, limit);
    if (filters.length === 1) return [together];
    const each = await Promise.all(filters.map((filter) => store.newest([filter], limit)));
    return each.map((own) => (own.seq > together.seq ? own : together));
  }

  async #newest(
    identity: Identity,
    filters: readonly Filter[],
    limit: PageLimit,
  ): Promise<{ readonly page: ReadPage; readonly all: readonly Message[] }> {
    const places = await this.#placesOfNewest(filters, limit);
    let page = await this.#pageAfter(identity, filters, places, limit);
    // Messages that were published since the places were found are newer, and are read too.
    for (let rounds = 0; !page.atHead && rounds < newestRoundsMax; rounds += 1) {
      const { through } = page;
      const next = await this.#pageAfter(
        identity,
        filters,
        places.map(() => through),
        limit,
      );
      page = {
        ...next,
        messages: newest([...page.messages, ...next.messages], limit),
        gaps: [...page.gaps, ...next.gaps],
      };
    }
    const isShort = page.messages.length < limit.messagesMax && (await this.#beginsLater(filters, places));
    return { page: this.#forReader(page, !page.atHead || isShort), all: page.messages };
  }

  /** Whether there are messages before these places. */
  async #beginsLater(filters: readonly Filter[], places: readonly Position[]): Promise<boolean> {
    const earliest = await this.locate(filters, { kind: 'earliest' });
    return places.some(({ seq }, at) => seq > earliest[at]!.seq);
  }

  /** The messages after a place for each filter, as one run, including expired ones. */
  async #pageAfter(
    identity: Identity,
    filters: readonly Filter[],
    places: readonly Position[],
    limit: PageLimit,
  ): Promise<Page> {
    const pages = await Promise.all(
      filters.map((filter, at) => this.#readOne(identity, filter, places[at]!, limit)),
    );
    return pages.length === 1 ? pages[0]! : mergePages(pages, limit);
  }

  async #readOne(identity: Identity, filter: Filter, position: Position, limit: PageLimit): Promise<Page> {
    const { store, access, dispatcher } = this.#parts;
    const page = await store.read(filter, position, limit);
    // A reader that continues by subscription must not find there what this page reports as gone.
    if (page.gaps.length > 0) dispatcher.gapFound(filter, position.seq);
    const mayDeliver = access.deliverable(identity, filter);
    const messages =
      mayDeliver === undefined ? page.messages : page.messages.filter(({ channel }) => mayDeliver(channel));
    return { ...page, messages, gaps: readableGaps(filter, page.gaps, { position, mayDeliver }) };
  }

  #forReader(page: Page, more: boolean): ReadPage {
    const messages = this.#unexpired(page.messages);
    return { ...page, messages, more, hasExpired: messages.length < page.messages.length };
  }

  #limit(messagesMax: number): PageLimit {
    return { messagesMax, bytesMax: this.#parts.limits.outboundBytesMax };
  }

  async retained(identity: Identity, filter: Filter, afterSeq: number): Promise<RetainedMessages> {
    const { access, store, limits } = this.#parts;
    const mayDeliver = access.deliverable(identity, filter);
    const page = await store.retained(filter, afterSeq, this.#limit(limits.retainedMax));
    const throughSeq = page.atEnd ? Number.POSITIVE_INFINITY : page.messages.at(-1)!.seq;
    const messages = this.#unexpired(page.messages).filter(
      ({ channel }) => mayDeliver === undefined || mayDeliver(channel),
    );
    return { messages, throughSeq };
  }

  async channels(
    identity: Identity,
    filter: Filter,
    after: string | undefined,
    limit: number,
  ): Promise<readonly ListedChannel[]> {
    const { store, access, dispatcher } = this.#parts;
    const mayDeliver = access.deliverable(identity, filter);
    const channels =
      mayDeliver === undefined
        ? await store.channels(filter, after, limit)
        : await this.#readableChannels(filter, mayDeliver, after, limit);
    return channels.map((info) => ({ ...info, subscribers: dispatcher.subscribersOf(info.channel) }));
  }

  /**
   * As many as are asked for: clients take a short page for the last one, and the name of the next page must be
   * readable.
   */
  async #readableChannels(
    filter: Filter,
    mayDeliver: (channel: string) => boolean,
    after: string | undefined,
    limit: number,
  ): Promise<readonly ChannelInfo[]> {
    const { store, limits } = this.#parts;
    const found: ChannelInfo[] = [];
    let from = after;
    for (;;) {
      const page = await store.channels(filter, from, limits.pageMessagesMax);
      found.push(...page.filter(({ channel }) => mayDeliver(channel)));
      if (page.length < limits.pageMessagesMax || found.length >= limit) return found.slice(0, limit);
      from = page.at(-1)!.channel;
    }
  }

  #unexpired(messages: readonly Message[]): readonly Message[] {
    const nowMs = this.#parts.clock.nowMs();
    return messages.filter(({ expiresAtMs }) => expiresAtMs === undefined || expiresAtMs > nowMs);
  }
}

/** Pages that are remembered as unchanged: some hundreds of kilobytes. */
const unchangedPagesMax = 1_000;

/** How often a page of the newest reads on for what was published meanwhile, before it says that there is more. */
const newestRoundsMax = 4;

/** Whether no offset of the channel is missing between the first and the last. */
function hasNoHole(messages: readonly Message[]): boolean {
  return messages[messages.length - 1]!.offset - messages[0]!.offset === messages.length - 1;
}
