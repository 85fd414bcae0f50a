import { parseCursor } from '@everywire/protocol';
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { Hub } from '../../../src/core/hub.ts';
import { concatenateText, type Batch, type WireFormat } from '../../../src/core/log/batch.ts';
import { estimateBytes } from '../../../src/core/log/message.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import type { Session } from '../../../src/core/seams/session-api.ts';
import type { Order, OrderOptions, Subscription } from '../../../src/core/seams/subscription-api.ts';
import { openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';
import { TestAccess } from '../test-access.ts';

const earliest = { since: { kind: 'earliest' } } as const;
const waitingBytesMax = 64 * 1024;

async function turns(count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await turn();
}

interface Followed {
  readonly sink: RecordingSink;
  readonly session: Session;
  readonly order: Order;
  readonly subscriptions: readonly Subscription[];
  readonly start: () => void;
}

async function subscribeAll(
  hub: Hub,
  filters: readonly string[],
  options: Partial<OrderOptions> & { readonly after?: string } = {},
): Promise<Followed> {
  const { after, ...bounds } = options;
  const sink = new RecordingSink();
  const session = await openSession(hub, sink);
  const order = session.order({ waitingBytesMax, ...bounds });
  const from = after === undefined ? earliest : { after };
  const subscriptions = await Promise.all(
    filters.map((filter) => session.subscribe(filter, { from, order, tag: filter })),
  );
  const start = (): void => {
    for (const subscription of subscriptions) subscription.start();
  };
  return { sink, session, order, subscriptions, start };
}

const seqsOf = ({ batches }: RecordingSink): readonly number[] =>
  batches.flatMap(({ messages }) => messages.map(({ seq }) => seq));

describe('several filters of a session in one order', () => {
  it('deliver each message once, in the order of the store, out of the log and live', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const publish = async (round: number): Promise<void> => {
      for (const channel of ['a/1', 'b', 'a/2', 'c', 'b'])
        await publishText(publisher, channel, `${channel} ${round}`);
    };
    await publish(1);
    const { sink, start, order } = await subscribeAll(hub, ['a/*', 'b', 'a/2', '**']);
    await publish(2);
    expect(sink.batches).toEqual([]);
    start();
    await sink.received(10);
    await publish(3);
    await sink.received(15);
    expect(seqsOf(sink)).toEqual(Array.from({ length: 15 }, (_, at) => at + 1));
    await turns(2);
    expect([order.isLive, order.cursor]).toEqual([true, sink.batches.at(-1)!.messages.at(-1)!.cursor]);
  });

  it('are one batch, encoded once, for all sessions that follow them, and the shared batch where one has news', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    let encodings = 0;
    const format: WireFormat = {
      id: 'counted',
      encode: (messages) => {
        encodings += 1;
        return concatenateText(messages.map(({ payload }) => payload.toString()));
      },
    };
    const sets = [
      ['a', 'b'],
      ['a', 'c'],
      ['a', 'b'],
      ['a', 'c'],
      ['a', 'b'],
    ];
    const all = await Promise.all(sets.map((filters) => subscribeAll(hub, filters)));
    for (const { start } of all) start();
    await turns(3);
    const publish = (channels: readonly string[]) =>
      publisher.publishAll(
        channels.map((channel) => ({ channel, draft: { payload: Buffer.from(channel) } })),
      );
    await publish(['a', 'b', 'c', 'a']);
    await Promise.all(all.map(({ sink }) => sink.received(3)));
    const bytes = all.map(({ sink }) => sink.batches.map((batch) => batch.as(format).bytes));
    expect(all.map(({ sink }) => sink.texts.join(''))).toEqual(['aba', 'aca', 'aba', 'aca', 'aba']);
    expect(encodings).toBe(2);
    expect([bytes[2], bytes[3], bytes[4]]).toEqual([bytes[0], bytes[1], bytes[0]]);
    await publish(['a', 'a']);
    await Promise.all(all.map(({ sink }) => sink.received(5)));
    const last = all.map(({ sink }) => sink.batches.at(-1)!.as(format).bytes);
    for (const one of last) expect(one).toBe(last[0]);
    expect(encodings).toBe(3);
  });

  it('wait for the filter that is not started, above its position, and continue when it starts or ends', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const { sink, session, order, start } = await subscribeAll(hub, ['a']);
    start();
    await publishText(publisher, 'a', '1');
    await sink.received(1);
    const late = await session.subscribe('b', { order });
    await publishText(publisher, 'a', '2');
    await publishText(publisher, 'b', '3');
    await turns(4);
    expect(sink.texts).toEqual(['1']);
    expect([order.isLive, order.cursor]).toEqual([false, late.startCursor]);
    late.start();
    expect(await sink.received(3)).toEqual(['1', '2', '3']);
    const never = await session.subscribe('c', { order });
    await publishText(publisher, 'a', '4');
    await turns(4);
    expect(sink.texts).toHaveLength(3);
    never.cancel();
    expect(await sink.received(4)).toEqual(['1', '2', '3', '4']);
  });

  it('hold at the cursor of a peer that takes no more, and resume exactly there', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const { sink, session, order, start } = await subscribeAll(hub, ['a', 'b']);
    start();
    sink.takesMore = false;
    for (let at = 0; at < 40; at += 1) {
      await publishText(publisher, at % 3 === 0 ? 'a' : 'b', String(at));
      if (at % 5 === 0) await turn();
    }
    await turns(3);
    expect(sink.batches).toHaveLength(1);
    expect(parseCursor(order.cursor)!.seq).toBeLessThanOrEqual(sink.batches[0]!.lastSeq);
    sink.takesMore = true;
    session.drained();
    expect(await sink.received(40)).toEqual(Array.from({ length: 40 }, (_, at) => String(at)));
  });

  it('tell of a gap with a cursor that passes no message of another filter', async () => {
    const namespaces = createNamespaces(
      [{ filter: 'short', retention: { countMax: 2 } }],
      defaultRules,
      defaultLimits,
    );
    const hub = await startHub({ namespaces });
    const publisher = await openSession(hub);
    const first = await publishText(publisher, 'long', '1');
    for (const text of ['2', '3']) await publishText(publisher, 'long', text);
    for (let at = 1; at <= 6; at += 1) await publishText(publisher, 'short', `short ${at}`);
    const { sink, order, start } = await subscribeAll(hub, ['short', 'long'], { after: first.cursor });
    expect(order.startGaps).toMatchObject([{ channel: 'short', from: 1, to: 4, next: { seq: 1 } }]);
    expect(order.cursor).toBe(first.cursor);
    start();
    expect(await sink.received(4)).toEqual(['2', '3', 'short 5', 'short 6']);
  });

  it('end after their batches, all together, and each batch is as small as was asked', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    for (let at = 0; at < 10; at += 1) await publishText(publisher, at % 2 === 0 ? 'a' : 'b', String(at));
    const { sink, start } = await subscribeAll(hub, ['a', 'b'], { batches: 2, batchMessagesMax: 3 });
    start();
    await sink.received(6);
    await turns(5);
    expect(sink.texts).toEqual(['0', '1', '2', '3', '4', '5']);
    expect(sink.notices.map(({ kind }) => kind)).toEqual(['ended', 'ended']);
    expect(hub.figures.subscriptions).toBe(0);
  });

  it('deliver nothing that waited and that its peer may not have any more', async () => {
    const hub = await startHub({ access: new TestAccess(() => Date.now()) });
    const identity = await hub.authenticate({ token: 'ann:**', address: undefined });
    const sink = new RecordingSink();
    const session = hub.open(identity, { transport: 'test' }, sink);
    const publisher = hub.open(identity, { transport: 'test' }, new RecordingSink());
    const order = session.order({ waitingBytesMax });
    const wide = await session.subscribe('x/*', { order });
    const kept = await session.subscribe('y', { order });
    wide.start();
    for (const channel of ['x/secret', 'x/open', 'y']) await publishText(publisher, channel, channel);
    await turns(4);
    expect(sink.batches).toEqual([]);
    await session.refresh('ann:**,!x/secret');
    kept.start();
    expect(await sink.received(2)).toEqual(['x/open', 'y']);
  });

  it.each([
    ['come live', false],
    ['are read from the log', true],
  ])('keep a bounded number of bytes for all together, when they %s', async (_, publishFirst) => {
    const [filters, perFilter] = [100, 40];
    const text = 'x'.repeat(1_000);
    const hub = await startHub();
    const publisher = await openSession(hub);
    const publishAll = async (): Promise<void> => {
      for (let round = 0; round < perFilter; round += 1) {
        await Promise.all(
          Array.from({ length: filters }, (_unused, at) => publishText(publisher, `ch/${at}`, text)),
        );
      }
    };
    if (publishFirst) await publishAll();
    const names = Array.from({ length: filters }, (_unused, at) => `ch/${at}`);
    const { sink, subscriptions, start } = await subscribeAll(hub, names);
    const ordered = subscriptions.map(
      (subscription) => (subscription as unknown as { host: { readonly waiting: readonly Batch[] } }).host,
    );
    let waitingMost = 0;
    const measure = (): void => {
      const waiting = ordered.flatMap((filter) => filter.waiting).flatMap(({ messages }) => messages);
      waitingMost = Math.max(
        waitingMost,
        waiting.reduce((sum, message) => sum + estimateBytes(message), 0),
      );
    };
    const { promise: all, resolve } = Promise.withResolvers<undefined>();
    let delivered = 0;
    sink.onDeliver = ({ messages }) => {
      measure();
      delivered += messages.length;
      if (delivered === filters * perFilter) resolve(undefined);
    };
    start();
    const published = publishFirst ? undefined : publishAll();
    await all;
    await published;
    const seqs = seqsOf(sink);
    expect(seqs).toEqual(seqs.toSorted((left, right) => left - right));
    expect(new Set(seqs).size).toBe(filters * perFilter);
    // One batch beyond it, and a message of each filter that the others have to wait for.
    expect(waitingMost).toBeLessThan(waitingBytesMax + 32 * 1024 + filters * (text.length + 250));
  });
});
