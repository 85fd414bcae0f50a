import { parseCursor } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import type { Message } from '../../packages/server/src/core/log/message.ts';
import { Window } from '../../packages/server/src/core/fanout/window.ts';
import {
  follow,
  openSession,
  publishText,
  RecordingSink,
  startHub,
} from '../../packages/server/test/core/hub-rig.ts';
import { makeMessage } from '../../packages/server/test/core/make-message.ts';

/** What the simulation found, small enough to be read. */
describe('found by simulation', () => {
  it('the cursor between two batches of one flush names the last delivered message, not the head', async () => {
    const hub = await startHub({ limits: { ...defaultLimits, batchBytesMax: 300 } });
    const sink = new RecordingSink();
    const pairs: (readonly [string, number])[] = [];
    sink.onDeliver = (batch, { cursor }) => pairs.push([cursor, batch.lastSeq]);
    const session = await openSession(hub, sink);
    await follow(session, 'a', {});
    const entries = ['1', '2', '3'].map((text) => ({ channel: 'a', draft: { payload: Buffer.from(text) } }));
    await session.publishAll(entries);
    expect(await sink.received(3)).toEqual(['1', '2', '3']);
    expect(sink.batches).toHaveLength(3);
    for (const [cursor, lastSeq] of pairs) expect(parseCursor(cursor)?.seq).toBe(lastSeq);
    await hub.stop();
  });

  it('an acknowledging subscription rewinds to where it began, not to the head at which it was made', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    for (const text of ['1', '2', '3']) await publishText(session, 'a', text);
    const from = { since: { kind: 'earliest' } } as const;
    const subscription = await follow(session, 'a', { from, acknowledge: 'peer' });
    await sink.received(3);
    subscription.rewind();
    expect(await sink.received(6)).toEqual(['1', '2', '3', '1', '2', '3']);
    await hub.stop();
  });

  it('one false of a sink holds every subscription of its session', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const witness = new RecordingSink();
    const other = await openSession(hub, witness);
    for (const filter of ['a', 'b']) {
      await follow(session, filter, {});
      await follow(other, filter, {});
    }
    sink.takesMore = false;
    await publishText(session, 'a', '1');
    await witness.received(1);
    await publishText(session, 'b', '2');
    await witness.received(2);
    expect(sink.texts).toEqual(['1']);
    sink.takesMore = true;
    session.drained();
    expect(await sink.received(2)).toEqual(['1', '2']);
    await hub.stop();
  });

  it('acks between two rewinds do not pass messages that will come again', () => {
    const messages = [2, 3, 4].map((seq) => makeMessage({ seq }));
    const [second, third, fourth] = [messages[0]!, messages[1]!, messages[2]!];
    const start = makeMessage({ seq: 1 }).position;
    const window = new Window({ messagesMax: 10 }, start);
    const deliver = (message: Message, before: Message) => {
      window.add([message], before.position);
      window.pass(message.position);
    };
    window.add(messages, start);
    window.pass(fourth.position);
    window.ack(4, true);
    window.rewind(fourth.position);
    deliver(second, makeMessage({ seq: 1 }));
    window.ack(2, true);
    expect(window.ackedThrough.seq).toBe(2);
    deliver(third, second);
    window.ack(3, true);
    window.pass(fourth.position);
    expect(window.ackedThrough.seq).toBe(4);
  });
});
