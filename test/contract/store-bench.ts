import { parseFilter } from '@everywire/protocol';
import { EverywireError, type Position } from '../../packages/protocol/src/index.ts';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import type { Draft, Message } from '../../packages/server/src/core/log/message.ts';
import type {
  Appended,
  Entry,
  Feed,
  Page,
  Placement,
  Retention,
  Store,
} from '../../packages/server/src/core/seams/store.ts';

/** What a store is tried with: every call shortened to what the test is about. */
export class StoreBench implements Feed {
  store: Store;
  /** The messages that the store reported to the feed, in order. */
  readonly fed: Message[] = [];
  readonly droppedChannels: string[] = [];
  interruptions = 0;
  #published = 0;

  constructor(store: Store) {
    this.store = store;
  }

  appended(_channel: string, messages: readonly Message[]): void {
    this.fed.push(...messages);
  }

  interrupted(): void {
    this.interruptions += 1;
  }

  dropped(channel: string): void {
    this.droppedChannels.push(channel);
  }

  entry(
    channel: string,
    payload: string,
    more: Partial<Draft> = {},
    retention: Partial<Retention> = {},
  ): Entry {
    this.#published += 1;
    return {
      channel,
      draft: {
        id: `id-${this.#published}`,
        timeMs: 1_000 + this.#published,
        type: 'text/plain',
        payload: Buffer.from(payload),
        ...more,
      },
      retention: { ...keepAll, ...retention },
    };
  }

  async append(
    channel: string,
    payload: string,
    more: Partial<Draft> = {},
    retention: Partial<Retention> = {},
  ) {
    const [result] = await this.store.append([this.entry(channel, payload, more, retention)]);
    return placed(result);
  }

  async retained(filter: string, messagesMax: number): Promise<readonly Message[]> {
    const limit = { messagesMax, bytesMax: Number.POSITIVE_INFINITY };
    return (await this.store.retained(filterOf(filter), 0, limit)).messages;
  }

  /** Appends `count` messages, one call each, all on their way at once. */
  async fill(
    channel: string,
    count: number,
    retention: Partial<Retention> = {},
  ): Promise<readonly Placement[]> {
    return Promise.all(
      Array.from({ length: count }, (_, index) =>
        this.append(channel, `${channel}-${index + 1}`, {}, retention),
      ),
    );
  }

  async read(filter: string, after: Position, messagesMax = 1_000, bytesMax = 10_000_000): Promise<Page> {
    return this.store.read(filterOf(filter), after, { messagesMax, bytesMax });
  }

  /** Reads on until the head, page by page. */
  async readAll(filter: string, after: Position, messagesMax = 1_000) {
    const messages: Message[] = [];
    const gaps: Page['gaps'][number][] = [];
    for (let position = after; ;) {
      const page = await this.read(filter, position, messagesMax);
      messages.push(...page.messages);
      gaps.push(...page.gaps);
      if (page.atHead) return { messages, gaps, through: page.through };
      position = page.through;
    }
  }

  async earliest(filter: string): Promise<Position> {
    return this.store.locate(filterOf(filter), { kind: 'earliest' });
  }

  async head(): Promise<Position> {
    return this.store.locate(filterOf('**'), { kind: 'latest' });
  }
}

export const keepAll: Retention = { countMax: 1_000_000, ageMsMax: 1e12, bytesMax: 1e12 };

export function filterOf(text: string) {
  return parseFilter(text, defaultLimits);
}

/** The place of an entry that must not have been refused. */
export function placed(result: Appended | undefined): Placement {
  if (result === undefined || result instanceof EverywireError) {
    throw new Error('the entry was refused', { cause: result });
  }
  return result;
}

export function positionOf({ epoch, seq, tag }: Placement | Message): Position {
  return { epoch, seq, tag };
}

export function payloads(messages: readonly Message[]): readonly string[] {
  return messages.map(({ payload }) => payload.toString());
}
