import { expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import type { Feed, Page, Store } from '../../../src/core/seams/store.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createMemoryStore } from '../../../src/stores/memory/store.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

/** A memory store that keeps three messages of `x`, and whose feed and reads a test can hold. */
class HeldReads {
  readonly store: Store;
  isFeedMuted = false;
  /** Reads after this seq answer from the log of the moment in which they were asked, but only on `release`. */
  heldAfterSeq: number | undefined;
  #held: (() => void)[] = [];

  constructor() {
    const random = createSystemRandom();
    const store = createMemoryStore({ clock: systemClock, random, limits: defaultLimits });
    const open = store.open.bind(store);
    store.open = (feed: Feed) =>
      open({
        appended: (channel, messages) => {
          if (!this.isFeedMuted) feed.appended(channel, messages);
        },
        interrupted: () => feed.interrupted(),
        dropped: (channel) => feed.dropped(channel),
      });
    const read = store.read.bind(store);
    store.read = async (filter, after, limit): Promise<Page> => {
      const page = await read(filter, after, limit);
      if (after.seq === this.heldAfterSeq) await new Promise<void>((resolve) => this.#held.push(resolve));
      return page;
    };
    this.store = store;
  }

  get heldCount(): number {
    return this.#held.length;
  }

  release(): void {
    this.heldAfterSeq = undefined;
    for (const resume of this.#held.splice(0)) resume();
  }

  startHub() {
    const retention = { countMax: 3, ageMsMax: 86_400_000, bytesMax: 1_000_000 };
    const namespaces = createNamespaces([{ filter: 'x', retention }], defaultRules, defaultLimits);
    return startHub({ store: this.store, namespaces });
  }
}

it('gives no message after its gap out of a page that was read before the gap', async () => {
  const held = new HeldReads();
  const hub = await held.startHub();
  const publisher = await openSession(hub);
  const { cursor } = await publishText(publisher, 'y', 'y1');
  const sink = new RecordingSink();
  const reader = await openSession(hub, sink);
  const subscription = await follow(reader, '**', { from: { after: cursor }, batchMessagesMax: 1 });
  await expect.poll(() => subscription.isLive).toBe(true);
  held.isFeedMuted = true;
  for (const [channel, text] of ['x x1', 'y y2', 'x x2', 'x x3'].map((pair) => pair.split(' ')))
    await publishText(publisher, channel!, text!);
  // Its page, which has x2 in it, is kept.
  const other = new RecordingSink();
  await follow(await openSession(hub, other), '**', { from: { since: { kind: 'earliest' } } });
  expect(await other.received(5)).toEqual(['y1', 'x1', 'y2', 'x2', 'x3']);
  for (const text of ['x4', 'x5']) await publishText(publisher, 'x', text);
  hub.dispatcher.interrupted();
  expect(await sink.received(4)).toEqual(['y2', 'x3', 'x4', 'x5']);
  expect(sink.notices[0]).toMatchObject({ kind: 'gap', gap: { channel: 'x', from: 1, to: 2 } });
  await hub.stop();
});

it('gives no message after its gap out of a read that began before the gap', async () => {
  const held = new HeldReads();
  const hub = await held.startHub();
  const publisher = await openSession(hub);
  const published = [];
  for (const [channel, text] of ['y y1', 'x x1', 'y y2', 'x x2', 'x x3'].map((pair) => pair.split(' ')))
    published.push(await publishText(publisher, channel!, text!));
  held.heldAfterSeq = 1;
  const other = new RecordingSink();
  const started = follow(await openSession(hub, other), '**', { from: { after: published[0]!.cursor } });
  await expect.poll(() => held.heldCount).toBe(1);
  held.heldAfterSeq = undefined;
  for (const text of ['x4', 'x5']) await publishText(publisher, 'x', text);
  const sink = new RecordingSink();
  const reader = await openSession(hub, sink);
  const subscription = await follow(reader, '**', {
    from: { since: { kind: 'earliest' } },
    batchMessagesMax: 1,
  });
  expect(subscription.startGaps).toMatchObject([{ channel: 'x', from: 1, to: 2 }]);
  held.release();
  await started;
  expect(await sink.received(5)).toEqual(['y1', 'y2', 'x3', 'x4', 'x5']);
  expect((await other.received(6)).slice(0, 4)).toEqual(['x1', 'y2', 'x2', 'x3']);
  await hub.stop();
});
