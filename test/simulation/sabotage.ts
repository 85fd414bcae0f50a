import { noTag } from '@everywire/protocol';
import type { Message } from '../../packages/server/src/core/log/message.ts';
import type { Feed, Page, Store } from '../../packages/server/src/core/seams/store.ts';
import type { Rule } from '../faults/checker/history.ts';
import { delegate } from './delegate.ts';

/** One bug, put between a hub and its store. The simulation must go red for each (RELIABILITY §6). */
export interface Sabotage {
  readonly bug: string;
  /** Whether it is a bug of shared stores; the others are tried on the memory store. */
  readonly isShared: boolean;
  /** What it is found by: one of these rules. */
  readonly breaks: readonly Rule[];
  readonly commit: (store: Store) => Store;
}

/** A store that reports to its feed through `change`. */
function withFeed(store: Store, change: (feed: Feed) => Partial<Feed>): Store {
  return delegate(store, {
    open: (feed) =>
      store.open({
        appended: (channel, messages) => feed.appended(channel, messages),
        interrupted: () => feed.interrupted(),
        dropped: (channel) => feed.dropped(channel),
        ...change(feed),
      }),
  });
}

/** A store whose pages are changed; `after` is what was asked for. */
function withPages(store: Store, change: (page: Page, afterSeq: number) => Page): Store {
  return delegate(store, {
    read: async (filter, after, limit) => change(await store.read(filter, after, limit), after.seq),
  });
}

export const sabotages: readonly Sabotage[] = [
  {
    bug: 'resume reads >= where it must read >',
    isShared: false,
    breaks: ['subscriber'],
    commit: (store) =>
      delegate(store, {
        async read(filter, after, limit) {
          const page = await store.read(filter, after, limit);
          const whole = await store.read(filter, { epoch: after.epoch, seq: 0, tag: noTag }, everything);
          const again = whole.messages.find(({ seq }) => seq === after.seq);
          return again === undefined ? page : { ...page, messages: [again, ...page.messages] };
        },
      }),
  },
  {
    bug: 'resume skips one',
    isShared: false,
    breaks: ['silent gap', 'liveness'],
    commit: (store) => withPages(store, (page) => ({ ...page, messages: page.messages.slice(1) })),
  },
  {
    bug: 'seq n+1 is shown before n',
    isShared: false,
    breaks: ['silent gap', 'subscriber', 'liveness'],
    commit: (store) => {
      let held: { readonly channel: string; readonly messages: readonly Message[] } | undefined;
      return withFeed(store, (feed) => ({
        appended(channel, messages) {
          if (held === undefined && messages.at(-1)!.seq % 5 === 0) {
            held = { channel, messages };
            return;
          }
          feed.appended(channel, messages);
          if (held !== undefined) feed.appended(held.channel, held.messages);
          held = undefined;
        },
      }));
    },
  },
  {
    bug: 'the feed reports the message before it is durable, and the flush fails',
    isShared: false,
    breaks: ['dirty delivery', 'divergence'],
    commit: (store) =>
      withFeed(store, (feed) => ({
        appended(channel, messages) {
          const last = messages.at(-1)!;
          feed.appended(channel, messages);
          // A message that a crash takes back: no reader will find it in the log.
          if (last.seq % 7 === 0) feed.appended(channel, [ghostAfter(last)]);
        },
      })),
  },
  {
    bug: 'the check tag is ignored',
    isShared: false,
    breaks: ['silent gap'],
    commit: (store) =>
      withPages(store, (page, afterSeq) => {
        if (!page.gaps.some(({ reason }) => reason === 'restored')) return page;
        return { ...page, gaps: [], messages: page.messages.filter(({ seq }) => seq > afterSeq) };
      }),
  },
  {
    bug: 'a gap is not told',
    isShared: false,
    breaks: ['silent gap'],
    commit: (store) => withPages(store, (page) => ({ ...page, gaps: [] })),
  },
  {
    bug: 'a gap notice without a gap',
    isShared: false,
    breaks: ['false gap'],
    commit: (store) =>
      withPages(store, (page, afterSeq) => {
        const [first] = page.messages;
        if (first === undefined || afterSeq % 6 !== 0) return page;
        const { channel, offset } = first;
        const gap = { channel, from: offset, to: offset, reason: 'retention', next: first.position } as const;
        return { ...page, gaps: [...page.gaps, gap] };
      }),
  },
  {
    bug: 'publish ids are forgotten',
    isShared: false,
    breaks: ['duplicate'],
    commit: (store) =>
      delegate(store, {
        append: (entries, options) =>
          store.append(
            entries.map((entry) => ({ ...entry, draft: { ...entry.draft, key: undefined } })),
            options,
          ),
      }),
  },
  {
    bug: 'an append is answered and not stored',
    isShared: true,
    breaks: ['lost'],
    commit: (store) => {
      let count = 0;
      return delegate(store, {
        async append(entries, options) {
          count += 1;
          if (count % 20 !== 0) return store.append(entries, options);
          return entries.map(({ channel, draft }, at) => {
            const place = {
              epoch: '000000',
              seq: 5_000 + 50 * count + at,
              offset: 5_000 + 50 * count + at,
              tag: noTag,
            };
            return { channel, ...place, id: draft.id, timeMs: draft.timeMs, duplicate: false };
          });
        },
      });
    },
  },
  {
    bug: 'a page ends before what it says it goes through',
    isShared: true,
    breaks: ['silent gap', 'liveness'],
    commit: (store) =>
      withPages(store, (page, afterSeq) =>
        afterSeq % 5 === 0 ? { ...page, messages: page.messages.slice(0, -1) } : page,
      ),
  },
  {
    bug: 'the feed goes deaf and does not say so',
    isShared: true,
    breaks: ['silent gap', 'liveness'],
    commit: (store) => withFeed(store, () => ({ interrupted: () => undefined })),
  },
  {
    bug: 'a wildcard goes by offset where it must go by seq',
    isShared: false,
    breaks: ['silent gap', 'subscriber'],
    commit: (store) =>
      withPages(store, (page) => ({
        ...page,
        messages: page.messages.toSorted((left, right) => left.offset - right.offset),
      })),
  },
];

const everything = { messagesMax: Number.POSITIVE_INFINITY, bytesMax: Number.POSITIVE_INFINITY };

function ghostAfter(message: Message): Message {
  const ghost = Object.assign(Object.create(Object.getPrototypeOf(message) as object) as Message, message);
  const payload = Buffer.from(`ghost of ${message.cursor}`);
  const place = { seq: message.seq + 1, offset: message.offset + 1, tag: 'ffffffffffffffff' };
  return Object.assign(ghost, { ...place, payload });
}
