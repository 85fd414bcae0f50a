import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import { TestAccess } from '../test-access.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

const earliest = { since: { kind: 'earliest' } } as const;

async function turns(count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await turn();
}

describe('between the answer to a subscriber and the start of its subscription', () => {
  it('nothing reaches the sink, and nothing is lost', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    await publishText(publisher, 'demo', '1');
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const fromLog = await session.subscribe('demo', { from: earliest });
    const fromNow = await session.subscribe('**', {});
    for (const text of ['2', '3']) await publishText(publisher, 'demo', text);
    await turns(5);
    expect(sink.batches).toEqual([]);
    expect([fromLog.isLive, fromNow.isLive]).toEqual([false, false]);
    fromNow.start();
    expect(await sink.received(2)).toEqual(['2', '3']);
    fromLog.start();
    fromLog.start();
    expect(await sink.received(5)).toEqual(['2', '3', '1', '2', '3']);
    await publishText(publisher, 'demo', '4');
    expect((await sink.received(7)).slice(5)).toEqual(['4', '4']);
  });

  it('what is trimmed meanwhile is a gap notice for the sink after the start', async () => {
    const namespaces = createNamespaces(
      [{ filter: 'demo', retention: { countMax: 3 } }],
      defaultRules,
      defaultLimits,
    );
    const hub = await startHub({ namespaces });
    const publisher = await openSession(hub);
    const sink = new RecordingSink();
    const subscription = await (await openSession(hub, sink)).subscribe('demo', {});
    for (let at = 1; at <= 9; at += 1) await publishText(publisher, 'demo', String(at));
    await turns(5);
    expect(sink.notices).toEqual([]);
    subscription.start();
    expect(await sink.received(3)).toEqual(['7', '8', '9']);
    expect(sink.notices).toMatchObject([{ kind: 'gap', gap: { from: 1, to: 6 } }]);
  });

  it('one that is cancelled, or whose session ends, costs nothing and stays silent', async () => {
    const hub = await startHub();
    const sinks = [new RecordingSink(), new RecordingSink()] as const;
    const publisher = await openSession(hub);
    await publishText(publisher, 'demo', '1');
    const cancelled = await (await openSession(hub, sinks[0])).subscribe('demo', { from: earliest });
    const session = await openSession(hub, sinks[1]);
    const ended = await session.subscribe('demo', { from: earliest });
    const member = await session.subscribe('$share/g/demo', { from: earliest });
    expect(hub.figures.subscriptions).toBe(3);
    cancelled.cancel();
    session.end();
    expect(hub.figures.subscriptions).toBe(0);
    for (const one of [cancelled, ended, member]) one.start();
    await publishText(publisher, 'demo', '2');
    await turns(5);
    for (const sink of sinks) expect([sink.batches, sink.notices]).toEqual([[], []]);
    expect(await publisher.channels('demo', undefined, 10)).toMatchObject([{ subscribers: 0 }]);
  });

  it('a withdrawn right is reported with the start', async () => {
    const hub = await startHub({ access: new TestAccess(() => Date.now()) });
    const identity = await hub.authenticate({ token: 'ann:**', address: undefined });
    const sink = new RecordingSink();
    const session = hub.open(identity, { transport: 'test' }, sink);
    const started = [
      await session.subscribe('b', { from: earliest }),
      await session.subscribe('$share/g/b', { from: earliest }),
    ];
    await session.refresh('ann:a');
    expect(sink.notices).toEqual([]);
    for (const one of started) one.start();
    const told = { kind: 'ended', error: { code: 'forbidden' } };
    expect(sink.notices).toMatchObject([told, told]);
    expect(hub.figures.subscriptions).toBe(0);
  });

  it('a group gives its messages to the members that have started, and keeps them for one where none has', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const [first, second] = [new RecordingSink(), new RecordingSink()];
    const early = await (await openSession(hub, first)).subscribe('$share/g/demo', {});
    await publishText(publisher, 'demo', '1');
    await turns(5);
    expect(first.batches).toEqual([]);
    await follow(await openSession(hub, second), '$share/g/demo');
    expect(await second.received(1)).toEqual(['1']);
    early.start();
    for (const text of ['2', '3']) await publishText(publisher, 'demo', text);
    await Promise.all([first.received(1), second.received(2)]);
    expect([...first.texts, ...second.texts].toSorted()).toEqual(['1', '2', '3']);
  });
});
