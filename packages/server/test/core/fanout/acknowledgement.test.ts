import { describe, expect, it } from 'vitest';
import type { Batch } from '../../../src/core/log/batch.ts';
import type { Credit, Subscription } from '../../../src/core/seams/subscription-api.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const turns = async (count: number) => {
  for (let at = 0; at < count; at += 1) await turn();
};
const earliest = { since: { kind: 'earliest' } } as const;

/** Writes down whether each delivery was marked as a repetition. */
function watchMarks(sink: RecordingSink): string[] {
  const seen: string[] = [];
  sink.onDeliver = (batch, subscription) => {
    for (const { seq, payload } of batch.messages)
      seen.push(`${payload.toString()}${seq <= subscription.redeliveredThroughSeq ? '!' : ''}`);
  };
  return seen;
}

describe('acknowledgement', () => {
  it('keeps no more under way than the limits allow, however large a window is asked for', async () => {
    const hub = await startHub({ limits: { ...defaultLimits, windowMessagesMax: 5 } });
    const publisher = await openSession(hub);
    const sinks = [new RecordingSink(), new RecordingSink()];
    const asked = { acknowledge: 'peer', windowMessages: 4_294_967_295 } as const;
    await follow(await openSession(hub, sinks[0]), 'demo', asked);
    await follow(await openSession(hub, sinks[1]), '$share/g/demo', asked);
    for (let at = 0; at < 20; at += 1) await publishText(publisher, 'demo', String(at));
    await turns(8);
    for (const { texts } of sinks) expect(texts).toHaveLength(5);
  });

  it('resumes from a stored progress in another session: nothing acknowledged again, the rest marked', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const texts = ['1', '2', '3', '4'];
    const sent = [];
    for (const text of texts) sent.push(await publishText(publisher, 'demo', text));
    const first = new RecordingSink();
    const session = await openSession(hub, first);
    const before = await follow(session, 'demo', {
      from: earliest,
      acknowledge: 'peer',
      windowMessages: 3,
    });
    await first.received(3);
    before.ack(sent[2]!.seq, true);
    before.ack(sent[0]!.seq, true);
    const { progress } = before;
    session.end();

    const second = new RecordingSink();
    const seen = watchMarks(second);
    const after = await follow(await openSession(hub, second), 'demo', {
      progress,
      acknowledge: 'peer',
      windowMessages: 10,
    });
    await second.received(2);
    expect(seen).toEqual(['2!', '4']);
    // Saved again before anything was acknowledged, it forgets neither what was acked nor what was delivered.
    expect(after.progress.acksAboveWatermark).toEqual([sent[2]!.cursor]);
    after.ack(sent[1]!.seq, true);
    after.ack(sent[3]!.seq, true);
    expect(after.progress).toMatchObject({ cursor: sent[3]!.cursor, acksAboveWatermark: [] });
  });

  it('keeps the marks of a progress that was restored and saved before anything was delivered', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const sent = await publishText(publisher, 'demo', '1');
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const before = await follow(session, 'demo', { from: earliest, acknowledge: 'peer' });
    await sink.received(1);
    const { progress } = before;
    const held = new RecordingSink();
    const credit: Credit = { available: 0 };
    const waiting = await follow(await openSession(hub, held), 'demo', {
      progress,
      acknowledge: 'peer',
      credit,
    });
    await turns(3);
    expect(held.texts).toEqual([]);
    expect(waiting.progress.deliveredWatermark).toBe(sent.seq);
  });

  it('takes acks, releases and cancellations from within a delivery', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const acting = async (act: (batch: Batch, subscription: Subscription, times: number) => void) => {
      const sink = new RecordingSink();
      let times = 0;
      const seen = watchMarks(sink);
      const mark = sink.onDeliver!;
      sink.onDeliver = (batch, subscription) => {
        mark(batch, subscription);
        act(batch, subscription, (times += 1));
      };
      const session = await openSession(hub, sink);
      await follow(session, 'demo', { acknowledge: 'peer', windowMessages: 2 });
      return { sink, seen };
    };
    const acks = await acting((batch, subscription) => {
      for (const { seq } of batch.messages) subscription.ack(seq, true);
    });
    const releases = await acting((batch, subscription, times) => {
      if (times === 1) subscription.release(batch.firstSeq);
      else subscription.ack(batch.lastSeq);
    });
    const leaves = await acting((_batch, subscription) => subscription.cancel());
    await publishText(publisher, 'demo', '1');
    await releases.sink.received(2);
    for (const text of ['2', '3', '4', '5']) await publishText(publisher, 'demo', text);
    expect(await acks.sink.received(5)).toEqual(['1', '2', '3', '4', '5']);
    await releases.sink.received(6);
    expect(releases.seen).toEqual(['1', '1!', '2', '3', '4', '5']);
    await turns(3);
    expect(leaves.seen).toEqual(['1']);
  });

  it('delivers a released message again, alone and marked, while the others stay with the peer', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const sink = new RecordingSink();
    const seen = watchMarks(sink);
    const subscription = await follow(await openSession(hub, sink), 'demo', {
      acknowledge: 'peer',
      windowMessages: 4,
    });
    const sent = await Promise.all(['1', '2', '3'].map((text) => publishText(publisher, 'demo', text)));
    await sink.received(3);
    subscription.release(sent[1]!.seq);
    await sink.received(4);
    await publishText(publisher, 'demo', '4');
    await sink.received(5);
    expect(seen).toEqual(['1', '2', '3', '2!', '4']);
    subscription.ack(sent[0]!.seq, true);
    expect(subscription.progress.cursor).toBe(sent[0]!.cursor);
  });

  it('keeps two subscriptions to the credit they share, and lets both have of what comes free', async () => {
    const hub = await startHub();
    const publisher = await openSession(hub);
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const counter = { available: 3 };
    const got: [Subscription, number][] = [];
    sink.onDeliver = (batch, subscription) => {
      counter.available -= batch.messages.length;
      for (const { seq } of batch.messages) got.push([subscription, seq]);
    };
    const options = { acknowledge: 'peer', windowMessages: 100, credit: counter } as const;
    await follow(session, 'a', options);
    await follow(session, 'b', options);
    for (let round = 0; round < 10; round += 1) {
      await publishText(publisher, 'a', `a${round}`);
      await publishText(publisher, 'b', `b${round}`);
    }
    await turns(5);
    expect(sink.texts).toHaveLength(3);
    expect(counter.available).toBe(0);
    while (sink.texts.length < 12) {
      const [subscription, seq] = got.shift()!;
      counter.available += 1;
      subscription.ack(seq, true);
      session.creditAvailable();
      await turns(5);
      expect(counter.available).toBe(0);
    }
    // Neither one starved while the other had something to read.
    expect(sink.texts.filter((text) => text.startsWith('a')).length).toBeGreaterThanOrEqual(4);
    expect(sink.texts.filter((text) => text.startsWith('b')).length).toBeGreaterThanOrEqual(4);
    for (;;) {
      const next = got.shift();
      if (next === undefined) break;
      counter.available += 1;
      next[0].ack(next[1], true);
      session.creditAvailable();
      await turns(5);
    }
    expect(sink.texts).toHaveLength(20);
  });

  it('writes the records of a publish that was refused neither by itself nor among others', async () => {
    const hub = await startHub();
    const session = await openSession(hub);
    const records = [{ table: 'test', key: 'k', value: Buffer.from('v') }];
    const draft = { payload: Buffer.from('x'), type: 'text/plain' };
    const results = await session.publishAll(
      [
        { channel: 'a', draft },
        { channel: 'not+allowed', draft },
      ],
      { records },
    );
    expect(results).toMatchObject([{ offset: 1 }, { code: 'bad_name' }]);
    expect(await hub.store.records.get('test', 'k')).toBeUndefined();
    await session.publish('a', draft, { records });
    expect(await hub.store.records.get('test', 'k')).toEqual(Buffer.from('v'));
  });
});
