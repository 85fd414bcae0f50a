import type { Store } from '../../packages/server/src/core/seams/store.ts';

/** A store that is `inner` but for some of its methods. */
export function delegate(inner: Store, overrides: Partial<Store>): Store {
  return {
    traits: inner.traits,
    records: inner.records,
    cluster: inner.cluster,
    open: (feed) => inner.open(feed),
    close: () => inner.close(),
    append: (entries, options) => inner.append(entries, options),
    read: (filter, after, limit) => inner.read(filter, after, limit),
    locate: (filter, start) => inner.locate(filter, start),
    newest: (filters, limit) => inner.newest(filters, limit),
    hasTrimmed: (filter) => inner.hasTrimmed(filter),
    follow: (filter) => inner.follow(filter),
    unfollow: (filter) => inner.unfollow(filter),
    channels: (filter, after, limit) => inner.channels(filter, after, limit),
    retained: (filter, afterSeq, limit) => inner.retained(filter, afterSeq, limit),
    drop: (channel) => inner.drop(channel),
    sweep: (nowMs, retentionOf) => inner.sweep(nowMs, retentionOf),
    health: () => inner.health(),
    usage: () => inner.usage(),
    ...overrides,
  };
}
