import { expect, it } from 'vitest';
import type { Batch } from '../../../src/core/log/batch.ts';
import { estimateBytes } from '../../../src/core/log/message.ts';
import type { Sink } from '../../../src/core/seams/sink.ts';
import type { Subscription } from '../../../src/core/seams/subscription-api.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { Following, Merges, Order } from '../../../src/transports/socketio/order.ts';
import { publishText, startHub } from '../../core/hub-rig.ts';

const filters = 100;
const perFilter = 40;
const waitingBytesMax = 64 * 1024;
const text = 'x'.repeat(1_000);

/** The packets handed to a peer that follows so many channels, and how much waits for others at the most. */
async function follow(publishFirst: boolean) {
  const hub = await startHub();
  const identity = await hub.authenticate({ token: undefined, address: undefined });
  const publisher = hub.open(
    identity,
    { transport: 'test' },
    {
      deliver: () => true,
      notify: () => undefined,
      close: () => undefined,
    },
  );
  const seqs: number[] = [];
  let waitingMost = 0;
  const { promise: all, resolve } = Promise.withResolvers<undefined>();
  const order: Order = new Order(
    {
      write: (batch) => {
        seqs.push(...batch.messages.map(({ seq }) => seq));
        if (seqs.length === filters * perFilter) resolve(undefined);
        return true;
      },
    },
    { clock: systemClock, merges: new Merges(), waitingBytesMax },
  );
  const sink: Sink = {
    deliver: (batch: Batch, { tag }: Subscription) => {
      const takesMore = order.deliver(batch, tag as Following);
      const waiting = order.all.flatMap((following) => following.waiting);
      const bytes = waiting
        .flatMap(({ messages }) => messages)
        .reduce((sum, one) => sum + estimateBytes(one), 0);
      waitingMost = Math.max(waitingMost, bytes);
      return takesMore;
    },
    notify: () => undefined,
    close: () => undefined,
  };
  const publishAll = async () => {
    for (let round = 0; round < perFilter; round += 1) {
      await Promise.all(Array.from({ length: filters }, (_, at) => publishText(publisher, `ch/${at}`, text)));
    }
  };
  const session = hub.open(identity, { transport: 'test' }, sink);
  order.begin(session);
  if (publishFirst) await publishAll();
  const followings = await Promise.all(
    Array.from({ length: filters }, async (_, at) => {
      const following = new Following(`ch/${at}`, order);
      order.add(following);
      following.subscription = await session.subscribe(`ch/${at}`, {
        from: { since: { kind: 'earliest' } },
        tag: following,
        credit: following,
      });
      return following;
    }),
  );
  for (const following of followings) order.start(following);
  if (!publishFirst) await publishAll();
  await all;
  await hub.stop();
  return { seqs, waitingMost };
}

it.each([
  ['comes live', false],
  ['is read from the log', true],
])(
  'holds a bounded number of bytes for all filters together, and delivers all in order, when it %s',
  async (_, publishFirst) => {
    const { seqs, waitingMost } = await follow(publishFirst);
    expect(seqs).toEqual(seqs.toSorted((left, right) => left - right));
    expect(new Set(seqs).size).toBe(filters * perFilter);
    // One batch beyond it, and a message of each filter that the others have to wait for.
    expect(waitingMost).toBeLessThan(waitingBytesMax + 32 * 1024 + filters * (text.length + 250));
  },
);
