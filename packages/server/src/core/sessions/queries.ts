import type { Filter, Position, Start } from '@everywire/protocol';
import type { Clock } from '../clock.ts';
import type { Dispatcher } from '../fanout/dispatcher.ts';
import { readableGaps, type MayDeliver } from '../fanout/readable-gap.ts';
import type { Limits } from '../limits.ts';
import type { Message } from '../log/message.ts';
import type { ListedChannel } from '../seams/session-api.ts';
import type { ChannelInfo, Page, Store } from '../seams/store.ts';
import type { Access, Identity } from './access.ts';
import { mergePages } from './merge-pages.ts';

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

  constructor(parts: QueriesParts) {
    this.#parts = parts;
  }

  /** One page of one or several filters, in the order of the store. `from` absent: the newest messages. */
  async read(
    identity: Identity,
    filters: readonly Filter[],
    from: ReadFrom | undefined,
    messagesMax: number,
  ): Promise<Page> {
    const start: ReadFrom = from ?? { since: { kind: 'last', count: messagesMax } };
    const pages = await Promise.all(
      filters.map((filter) => this.#readOne(identity, filter, start, messagesMax)),
    );
    return pages.length === 1 ? pages[0]! : mergePages(pages, messagesMax, from === undefined);
  }

  async #readOne(identity: Identity, filter: Filter, from: ReadFrom, messagesMax: number): Promise<Page> {
    const { store, limits, access, dispatcher } = this.#parts;
    const position = 'cursor' in from ? from.cursor : await store.locate(filter, from.since);
    const page = await store.read(filter, position, { messagesMax, bytesMax: limits.outboundBytesMax });
    // A reader that goes on by subscription must not find there what this page calls gone.
    if (page.gaps.length > 0) dispatcher.gapFound(filter, position.seq);
    const mayDeliver = access.deliverable(identity, filter);
    const messages = this.#readable(page.messages, mayDeliver);
    return { ...page, messages, gaps: readableGaps(filter, page.gaps, { position, mayDeliver }) };
  }

  async retained(identity: Identity, filter: Filter, limit: number): Promise<readonly Message[]> {
    const messages = await this.#parts.store.retained(filter, limit);
    return this.#readable(messages, this.#parts.access.deliverable(identity, filter));
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

  /** As many as are asked for: a short page is taken for the last one, and a name to go on from must be readable. */
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

  /** The messages that this identity may be given and that have not expired. */
  #readable(messages: readonly Message[], mayDeliver: MayDeliver): readonly Message[] {
    const nowMs = this.#parts.clock.nowMs();
    return messages.filter(
      ({ channel, expiresAtMs }) =>
        (mayDeliver === undefined || mayDeliver(channel)) &&
        (expiresAtMs === undefined || expiresAtMs > nowMs),
    );
  }
}
