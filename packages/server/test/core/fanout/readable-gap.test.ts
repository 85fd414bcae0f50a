import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/core/log/batch.ts';
import { openAccess, type Access } from '../../../src/core/sessions/access.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import type { Published } from '../../../src/core/seams/session-api.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

/** Ann may read `chat/**`, except `chat/secret`; a client without a token may read everything. */
const access: Access = {
  ...openAccess,
  authenticate: ({ token }) => Promise.resolve({ subject: token, isAdmin: false }),
  deliverable: ({ subject }) =>
    subject === 'ann' ? (channel: string) => channel !== 'chat/secret' : undefined,
};

/** Two messages are kept of each channel. */
async function start() {
  const namespaces = createNamespaces(
    [{ filter: 'chat/**', retention: { countMax: 2 } }],
    defaultRules,
    defaultLimits,
  );
  const hub = await startHub({ access, namespaces });
  const publisher = await openSession(hub);
  const openAnn = async () => {
    const sink = new RecordingSink();
    const ann = await hub.authenticate({ token: 'ann', address: undefined });
    return { sink, session: hub.open(ann, { transport: 'test' }, sink) };
  };
  let published = 0;
  const witness = new RecordingSink();
  await follow(await openSession(hub, witness), '**', {});
  /** Resolves once every follower has seen them: pending messages are no gap. */
  const publishTo = async (channel: string, count: number) => {
    let last: Published | undefined;
    for (let at = 1; at <= count; at += 1) last = await publishText(publisher, channel, `${channel} ${at}`);
    published += count;
    await witness.received(published);
    return last!;
  };
  return { hub, publisher, openAnn, publishTo };
}

const onlyOpen = [{ channel: 'chat/open', reason: 'retention' }];

describe('a reader without the right to a channel', () => {
  it('is not told of what is gone of it when beginning or reading', async () => {
    const { publisher, openAnn, publishTo } = await start();
    const first = await publishTo('chat/hall', 1);
    await publishTo('chat/secret', 8);
    await publishTo('chat/open', 8);
    const from = { after: first.cursor };
    const seen = (await publisher.read('chat/**', from, 100)).gaps;
    expect(seen.map(({ channel }) => channel).toSorted()).toEqual(['chat/open', 'chat/secret']);
    const { session } = await openAnn();
    expect((await session.read('chat/**', from, 100)).gaps).toMatchObject(onlyOpen);
    const subscription = await follow(session, 'chat/**', { from });
    expect(subscription.startGaps).toMatchObject(onlyOpen);
    const member = await follow(session, '$share/g/chat/**', { from });
    expect(member.startGaps).toMatchObject(onlyOpen);
  });

  it('is not told of what is gone of it while following', async () => {
    const { hub, openAnn, publishTo } = await start();
    const ann = await openAnn();
    const everything = new RecordingSink();
    const other = await openSession(hub, everything);
    for (const { session, sink } of [ann, { session: other, sink: everything }]) {
      sink.takesMore = false;
      await follow(session, 'chat/**', {});
    }
    await publishTo('chat/hall', 1);
    await Promise.all([ann.sink.received(1), everything.received(1)]);
    await publishTo('chat/secret', 8);
    await publishTo('chat/open', 8);
    for (const { session, sink } of [ann, { session: other, sink: everything }]) {
      sink.takesMore = true;
      session.drained();
    }
    await Promise.all([ann.sink.received(3), everything.received(5)]);
    const channels = everything.notices.map((notice) => notice.kind === 'gap' && notice.gap.channel);
    expect(channels.toSorted()).toEqual(['chat/open', 'chat/secret']);
    expect(ann.sink.notices).toMatchObject([{ kind: 'gap', gap: { channel: 'chat/open' } }]);
  });

  it('is not told of it as a member of a group either', async () => {
    const { hub, openAnn, publishTo } = await start();
    const ann = await openAnn();
    const everything = new RecordingSink();
    const other = await openSession(hub, everything);
    const group = '$share/g/chat/**';
    const options = { acknowledge: 'peer', windowMessages: 1 } as const;
    const first = await follow(ann.session, group, options);
    const second = await follow(other, group, options);
    await publishTo('chat/hall', 2);
    await Promise.all([ann.sink.received(1), everything.received(1)]);
    await publishTo('chat/secret', 8);
    await publishTo('chat/open', 8);
    // Their windows are full until now.
    for (const [sink, member] of [
      [ann.sink, first],
      [everything, second],
    ] as const) {
      const ackAll = ({ messages }: Batch): void => messages.forEach(({ seq }) => member.ack(seq, true));
      sink.onDeliver = ackAll;
      sink.batches.forEach(ackAll);
    }
    await everything.received(3);
    const channels = everything.notices.map((notice) => notice.kind === 'gap' && notice.gap.channel);
    expect(channels.toSorted()).toEqual(['chat/open', 'chat/secret']);
    expect(ann.sink.notices).toMatchObject([{ kind: 'gap', gap: { channel: 'chat/open' } }]);
  });
});
