import { describe, expect, it } from 'vitest';
import { concatenateText, type WireFormat } from '../../src/core/log/batch.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../src/core/log/namespaces.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from './hub-rig.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('hub', () => {
  it('hands one shared Buffer, encoded once, to every live subscriber of a channel', async () => {
    const hub = await startHub();
    let encodings = 0;
    const format: WireFormat = {
      id: 'counted',
      encode: (messages) => {
        encodings += 1;
        return concatenateText(messages.map(({ payload }) => payload.toString()));
      },
    };
    const sinks = [new RecordingSink(), new RecordingSink(), new RecordingSink()];
    for (const sink of sinks) await follow(await openSession(hub, sink), 'demo', {});
    const publisher = await openSession(hub);
    // Published in one turn, so they go out in one batch.
    await Promise.all(['a', 'b', 'c'].map((text) => publishText(publisher, 'demo', text)));
    for (const sink of sinks) await sink.received(3);
    const buffers = sinks.map((sink) => sink.batches[0]!.as(format).bytes);
    expect(buffers[0]!.toString()).toBe('abc');
    expect(buffers[1]).toBe(buffers[0]);
    expect(buffers[2]).toBe(buffers[0]);
    expect(encodings).toBe(1);
  });

  it('stores what a peer published before it went, in any order of its transport', async () => {
    const hub = await startHub();
    const session = await openSession(hub);
    session.end();
    await publishText(session, 'demo', 'last words');
    await session.publishAll([{ channel: 'demo', draft: { payload: Buffer.from('and these') } }]);
    expect(hub.figures.published).toBe(2);
  });

  it('delivers from now on, from a cursor, and since a start, and never twice', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const first = await publishText(publisher, 'demo', '1');
    await publishText(publisher, 'demo', '2');
    const [now, after, earliest, last] = [
      new RecordingSink(),
      new RecordingSink(),
      new RecordingSink(),
      new RecordingSink(),
    ];
    await follow(await openSession(hub, now), 'demo', {});
    await follow(await openSession(hub, after), 'demo', { from: { after: first.cursor } });
    await follow(await openSession(hub, earliest), '**', { from: { since: { kind: 'earliest' } } });
    await follow(await openSession(hub, last), 'demo', { from: { since: { kind: 'last', count: 1 } } });
    await publishText(publisher, 'demo', '3');
    expect(await now.received(1)).toEqual(['3']);
    expect(await after.received(2)).toEqual(['2', '3']);
    expect(await earliest.received(3)).toEqual(['1', '2', '3']);
    expect(await last.received(2)).toEqual(['2', '3']);
  });

  it('begins no delivery before the subscriber has its answer', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    await publishText(publisher, 'demo', '1');
    const sink = new RecordingSink();
    let isAnswered = false;
    sink.onDeliver = () => expect(isAnswered).toBe(true);
    const subscribing = follow(await openSession(hub, sink), 'demo', {
      from: { since: { kind: 'earliest' } },
    });
    void publishText(publisher, 'demo', '2');
    await subscribing;
    isAnswered = true;
    expect(await sink.received(2)).toEqual(['1', '2']);
  });

  it('delivers what is published right behind the call to subscribe', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const subscribing = follow(session, 'demo', {});
    await publishText(session, 'demo', '1');
    await subscribing;
    await publishText(session, 'demo', '2');
    expect(await sink.received(2)).toEqual(['1', '2']);
  });

  it('gives a wildcard all its channels in the order of the store', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const live = new RecordingSink();
    await follow(await openSession(hub, live), 'a/**', {});
    const texts = Array.from({ length: 50 }, (_, at) => String(at));
    await Promise.all(
      texts.map((text, at) => publishText(publisher, at % 5 === 4 ? 'b' : `a/${at % 3}`, text)),
    );
    const expected = texts.filter((_, at) => at % 5 !== 4);
    expect(await live.received(expected.length)).toEqual(expected);
    const late = new RecordingSink();
    await follow(await openSession(hub, late), 'a/**', { from: { since: { kind: 'earliest' } } });
    expect(await late.received(expected.length)).toEqual(expected);
  });

  it('holds a sink that takes no more at its cursor, and catches it up exactly', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const slow = new RecordingSink();
    const fast = new RecordingSink();
    const session = await openSession(hub, slow);
    const subscription = await follow(session, 'demo', {});
    await follow(await openSession(hub, fast), 'demo', {});
    slow.takesMore = false;
    for (let at = 0; at < 20; at += 1) {
      await publishText(publisher, 'demo', String(at));
      await turn();
    }
    await fast.received(20);
    expect(slow.texts).toEqual(['0']);
    expect(subscription.isLive).toBe(false);
    slow.takesMore = true;
    session.drained();
    expect(await slow.received(20)).toEqual(fast.texts);
    await publishText(publisher, 'demo', 'live again');
    await slow.received(21);
    expect(subscription.isLive).toBe(true);
  });

  it('tells a reader behind the retention edge which messages are gone', async () => {
    const limits = defaultLimits;
    const hub = await startHub({
      namespaces: createNamespaces([{ filter: 'demo', retention: { countMax: 5 } }], defaultRules, limits),
    });
    const publisher = await openSession(hub);
    const first = await publishText(publisher, 'demo', '1');
    for (let at = 2; at <= 20; at += 1) await publishText(publisher, 'demo', String(at));
    const sink = new RecordingSink();
    const subscription = await follow(await openSession(hub, sink), 'demo', {
      from: { after: first.cursor },
    });
    expect(subscription.startGaps).toMatchObject([{ channel: 'demo', from: 2, to: 15, reason: 'retention' }]);
    expect(await sink.received(5)).toEqual(['16', '17', '18', '19', '20']);
    const page = await publisher.read('demo', { after: first.cursor }, 100);
    expect(page.gaps).toMatchObject([{ from: 2, to: 15 }]);
    const resumed = await publisher.read('demo', { after: subscription.startCursor }, 100);
    expect(resumed.gaps).toEqual([]);
    expect(resumed.messages.map(({ offset }) => offset)).toEqual([16, 17, 18, 19, 20]);
  });

  it('ends a long poll after one batch', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const sink = new RecordingSink();
    await follow(await openSession(hub, sink), 'demo', { batches: 1, batchMessagesMax: 2 });
    await Promise.all(['1', '2', '3'].map((text) => publishText(publisher, 'demo', text)));
    expect(await sink.received(2)).toEqual(['1', '2']);
    await turn();
    expect(sink.notices.map(({ kind }) => kind)).toEqual(['ended']);
    expect(hub.figures.subscriptions).toBe(0);
  });

  it('keeps within the window and delivers again what was not acknowledged', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const sink = new RecordingSink();
    const subscription = await follow(await openSession(hub, sink), 'demo', {
      acknowledge: 'peer',
      windowMessages: 2,
    });
    const sent = await Promise.all(['1', '2', '3', '4'].map((text) => publishText(publisher, 'demo', text)));
    expect(await sink.received(2)).toEqual(['1', '2']);
    await turn();
    expect(sink.texts).toHaveLength(2);
    // An acknowledged message does not count against the window, also where an earlier one is still in flight.
    subscription.ack(sent[1]!.seq, true);
    expect(await sink.received(3)).toEqual(['1', '2', '3']);
    await turn();
    expect(sink.texts).toHaveLength(3);
    subscription.rewind();
    expect(await sink.received(5)).toEqual(['1', '2', '3', '1', '3']);
    subscription.ack(sent[0]!.seq);
    expect(await sink.received(6)).toEqual(['1', '2', '3', '1', '3', '4']);
  });

  it('leaves out the own messages of a session that wants no echo', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    await follow(session, 'demo', { echo: false });
    await publishText(session, 'demo', 'mine');
    await publishText(await openSession(hub), 'demo', 'theirs');
    expect(await sink.received(1)).toEqual(['theirs']);
  });

  it('does not deliver what has expired', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    await publisher.publish('demo', { payload: Buffer.from('gone'), type: 'text/plain', ttlMs: 1 });
    await publishText(publisher, 'demo', 'kept');
    const { timeMs } = await publishText(publisher, 'demo', 'last');
    while (Date.now() <= timeMs + 1) await turn();
    const sink = new RecordingSink();
    await follow(await openSession(hub, sink), 'demo', { from: { since: { kind: 'earliest' } } });
    expect(await sink.received(2)).toEqual(['kept', 'last']);
    expect((await publisher.read('demo', { since: { kind: 'earliest' } }, 10)).messages).toHaveLength(2);
  });

  it('shares one read and one encoding among readers at different places', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const sent = await Promise.all(
      Array.from({ length: 100 }, (_, at) => publishText(publisher, 'demo', String(at))),
    );
    let reads = 0;
    const read = hub.store.read.bind(hub.store);
    hub.store.read = (...given) => {
      reads += 1;
      return read(...given);
    };
    const sinks: RecordingSink[] = [];
    for (let at = 0; at < 50; at += 1) {
      const sink = new RecordingSink();
      await follow(await openSession(hub, sink), 'demo', { from: { after: sent[at]!.cursor } });
      await sink.received(99 - at);
      sinks.push(sink);
    }
    for (const [at, sink] of sinks.entries())
      expect(sink.texts).toEqual(sent.slice(at + 1).map((_, index) => String(index + at + 1)));
    expect(reads).toBe(1);
  });

  it('reads once for readers that ask for the same page in the same turn', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const { cursor } = await publishText(publisher, 'demo', '1');
    await publishText(publisher, 'demo', '2');
    let reads = 0;
    const read = hub.store.read.bind(hub.store);
    hub.store.read = (...given) => {
      reads += 1;
      return read(...given);
    };
    const sinks = Array.from({ length: 20 }, () => new RecordingSink());
    await Promise.all(
      sinks.map(async (sink) => {
        await follow(await openSession(hub, sink), 'demo', { from: { after: cursor } });
        expect(await sink.received(1)).toEqual(['2']);
      }),
    );
    expect(reads).toBe(1);
  });

  it('names the durable head as the cursor of a reader that has everything, and refuses what is no cursor', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const subscription = await follow(publisher, 'quiet', {});
    const elsewhere = await publishText(publisher, 'busy', 'x');
    expect(subscription.cursor).toBe(elsewhere.cursor);
    await expect(follow(publisher, 'demo', { from: { after: 'nonsense' } })).rejects.toMatchObject({
      code: 'bad_cursor',
    });
    await expect(publisher.read('demo', { after: '' }, 10)).rejects.toMatchObject({ code: 'bad_cursor' });
    expect(hub.figures.subscriptions).toBe(1);
  });

  it('keeps a connection to its number of subscriptions, and frees them when it ends', async () => {
    const hub = await startHub({ limits: { ...defaultLimits, subscriptionsMax: 2 } });
    const session = await openSession(hub);
    await follow(session, 'a', {});
    const second = await follow(session, 'b/*', {});
    await expect(follow(session, 'c', {})).rejects.toMatchObject({ code: 'quota_exceeded' });
    second.cancel();
    await follow(session, 'c', {});
    expect(hub.dispatcher.subscribersOf('a')).toBe(1);
    session.end();
    expect(hub.figures.subscriptions).toBe(0);
    expect(hub.dispatcher.subscribersOf('a')).toBe(0);
    await expect(follow(session, 'a', {})).rejects.toMatchObject({ code: 'going_away' });
  });

  it('costs a sink that throws its own connection and no other', async () => {
    const hub = await startHub();
    const bad = new RecordingSink();
    let closed = 0;
    bad.onDeliver = () => {
      throw new Error('a fault in a transport');
    };
    bad.close = () => (closed += 1);
    const good = new RecordingSink();
    await follow(await openSession(hub, bad), 'demo', {});
    await follow(await openSession(hub, good), 'demo', {});
    await publishText(await openSession(hub), 'demo', '1');
    expect(await good.received(1)).toEqual(['1']);
    expect(closed).toBe(1);
  });
});
