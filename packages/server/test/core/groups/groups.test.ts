import { describe, expect, it } from 'vitest';
import { EverywireError } from '@everywire/protocol';
import { openAccess, type Access } from '../../../src/core/sessions/access.ts';
import type { Hub } from '../../../src/core/hub.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { defaultRules } from '../../../src/core/log/namespaces.ts';
import type { Store } from '../../../src/core/seams/store.ts';
import type { Session } from '../../../src/core/seams/session-api.ts';
import type { SubscribeOptions, Subscription } from '../../../src/core/seams/subscription-api.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createMemoryStore } from '../../../src/stores/memory/store.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const settle = async () => {
  for (let at = 0; at < 8; at += 1) await turn();
};
const jobs = '$share/workers/jobs';
const earliest = { since: { kind: 'earliest' } } as const;

class Worker {
  readonly sink = new RecordingSink();
  /** `text`, or `text!` when it was marked as a repetition. */
  readonly got: string[] = [];
  readonly unacked: number[] = [];
  readonly session: Session;
  readonly subscription: Subscription;

  static async start(hub: Hub, options: SubscribeOptions = {}, name = jobs): Promise<Worker> {
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const early: Parameters<NonNullable<RecordingSink['onDeliver']>>[] = [];
    sink.onDeliver = (...args) => early.push(args);
    const subscription = await follow(session, name, { acknowledge: 'peer', ...options });
    const worker = new Worker(sink, session, subscription);
    for (const args of early) worker.#note(...args);
    return worker;
  }

  constructor(sink: RecordingSink, session: Session, subscription: Subscription) {
    this.sink = sink;
    this.session = session;
    this.subscription = subscription;
    sink.onDeliver = (...args) => this.#note(...args);
  }

  ackAll(): void {
    for (const seq of this.unacked.splice(0)) this.subscription.ack(seq, true);
  }

  #note(...[batch, { redeliveredThroughSeq }]: Parameters<NonNullable<RecordingSink['onDeliver']>>): void {
    for (const { seq, payload } of batch.messages) {
      this.got.push(`${payload.toString()}${seq <= redeliveredThroughSeq ? '!' : ''}`);
      this.unacked.push(seq);
    }
  }
}

async function publish(hub: Hub, count: number, channel = 'jobs', from = 1): Promise<void> {
  const session = await openSession(hub);
  for (let at = from; at < from + count; at += 1) await publishText(session, channel, String(at));
  await settle();
}

function makeStore(): Store {
  return createMemoryStore({ clock: systemClock, random: createSystemRandom(), limits: defaultLimits });
}

/** A second hub on a store that its first one left without a word, as after kill -9. */
function afterCrash(store: Store): Promise<Hub> {
  return startHub({ store });
}

describe('a group', () => {
  it('gives each message to one member, in turns, in order', async () => {
    const hub = await startHub();
    const members = await Promise.all([Worker.start(hub), Worker.start(hub), Worker.start(hub)]);
    await publish(hub, 9);
    expect(members.map(({ got }) => got)).toEqual([
      ['1', '4', '7'],
      ['2', '5', '8'],
      ['3', '6', '9'],
    ]);
  });

  it('keeps no more of large messages for a member that does not acknowledge than its bytes', async () => {
    const hub = await startHub({ limits: { ...defaultLimits, groupMemberBytesMax: 100_000 } });
    const worker = await Worker.start(hub, { windowMessages: 1_000 });
    const session = await openSession(hub);
    for (let at = 0; at < 20; at += 1) {
      await session.publish('jobs', { payload: Buffer.alloc(20_000) });
    }
    await settle();
    expect(worker.unacked).toHaveLength(4);
    for (let left = 16; left > 0; left -= 4) {
      worker.ackAll();
      await settle();
      expect(worker.unacked).toHaveLength(4);
    }
  });

  it('hands what a member gives back to another in batches of the usual size', async () => {
    const hub = await startHub({ limits: { ...defaultLimits, batchBytesMax: 4_000 } });
    const slow = await Worker.start(hub, { windowMessages: 1_000 });
    const session = await openSession(hub);
    for (let at = 0; at < 50; at += 1) await session.publish('jobs', { payload: Buffer.alloc(1_000) });
    await settle();
    expect(slow.unacked).toHaveLength(50);
    const other = await Worker.start(hub, { windowMessages: 1_000 });
    slow.session.end();
    await settle();
    expect(other.unacked).toHaveLength(50);
    for (const batch of other.sink.batches) expect(batch.messages.length).toBeLessThanOrEqual(3);
  });

  it('is one by group and filter, and another by either', async () => {
    const hub = await startHub();
    const [a, b, otherGroup, otherFilter, same] = await Promise.all(
      ['$share/g/jobs/+', '$share/g/jobs/*', '$share/h/jobs/*', '$share/g/jobs/**', 'jobs/*'].map((name) =>
        Worker.start(hub, {}, name),
      ),
    );
    await publish(hub, 4, 'jobs/x');
    expect([...a!.got, ...b!.got].sort()).toEqual(['1', '2', '3', '4']);
    expect(a!.got).toHaveLength(2);
    for (const other of [otherGroup, otherFilter, same]) expect(other!.got).toEqual(['1', '2', '3', '4']);
  });

  it('gives no member more than its window, waits without room, and resumes with an ack', async () => {
    const hub = await startHub();
    const small = await Worker.start(hub, { windowMessages: 1 });
    const large = await Worker.start(hub, { windowMessages: 3 });
    await publish(hub, 10);
    expect([small.got.length, large.got.length]).toEqual([1, 3]);
    small.ackAll();
    await settle();
    expect([small.got.length, large.got.length]).toEqual([2, 3]);
    large.ackAll();
    await settle();
    expect([small.got.length, large.got.length]).toEqual([2, 6]);
    small.ackAll();
    large.ackAll();
    await settle();
    expect([...small.got, ...large.got].map(Number).sort((left, right) => left - right)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ]);
  });

  it('does not exceed a credit that others took from while a round was handed out', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const credit = { available: 2 };
    const leftAfterEach: number[] = [];
    sink.onDeliver = (batch) => {
      credit.available -= batch.messages.length;
      // As another group that shares the credit does when the first delivery lets it.
      if (leftAfterEach.length === 0) credit.available -= 1;
      leftAfterEach.push(credit.available);
    };
    const options = { acknowledge: 'peer', credit, from: earliest } as const;
    const publisher = await openSession(hub);
    await Promise.all(['1', '2'].map((text) => publishText(publisher, 'jobs', text)));
    const members = [await session.subscribe(jobs, options), await session.subscribe(jobs, options)];
    for (const member of members) member.start();
    await settle();
    expect(leftAfterEach).toEqual([0]);
    credit.available = 1;
    session.creditAvailable();
    await settle();
    expect(leftAfterEach).toEqual([0, 0]);
    await hub.stop();
  });

  it('keeps two members of one session to their common credit', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    const credit = { available: 3 };
    sink.onDeliver = (batch) => (credit.available -= batch.messages.length);
    const options = { acknowledge: 'peer', credit } as const;
    await follow(session, jobs, options);
    await follow(session, jobs, options);
    await publish(hub, 10);
    expect(sink.texts).toHaveLength(3);
    credit.available = 2;
    session.creditAvailable();
    await settle();
    expect(sink.texts).toHaveLength(5);
    expect(credit.available).toBe(0);
  });

  it('gives what a member leaves unacknowledged to the others, marked, and before anything new', async () => {
    const hub = await startHub();
    const leaving = await Worker.start(hub, { windowMessages: 2 });
    const lost = await Worker.start(hub, { windowMessages: 2 });
    await publish(hub, 4);
    const last = await Worker.start(hub, { windowMessages: 3 });
    leaving.subscription.ack(leaving.unacked[0]!, true);
    leaving.subscription.cancel();
    lost.session.end();
    await publish(hub, 2, 'jobs', 5);
    expect(last.got).toEqual(['3!', '2!', '4!']);
    last.ackAll();
    await settle();
    expect(last.got).toEqual(['3!', '2!', '4!', '5', '6']);
  });

  it('gives a released message to another member, and to the same one when there is no other', async () => {
    const hub = await startHub();
    const first = await Worker.start(hub, { windowMessages: 2 });
    await publish(hub, 1);
    first.subscription.release(first.unacked[0]!);
    await settle();
    expect(first.got).toEqual(['1', '1!']);
    const second = await Worker.start(hub, { windowMessages: 2 });
    first.subscription.release(first.unacked[0]!);
    await settle();
    expect(first.got).toEqual(['1', '1!']);
    expect(second.got).toEqual(['1!']);
    first.subscription.release(99_999);
    second.subscription.rewind();
    await settle();
    expect(first.got).toEqual(['1', '1!', '1!']);
  });

  it('counts what the sink took as acknowledged where the member does not ack', async () => {
    const hub = await startHub();
    const member = await Worker.start(hub, { acknowledge: 'delivered' });
    await publish(hub, 3);
    member.session.end();
    const next = await Worker.start(hub, { from: earliest });
    await publish(hub, 1, 'jobs', 4);
    // It ended with its last member, so this one is new, and begins where it was asked to.
    expect(next.got).toEqual(['1', '2', '3', '4']);
  });

  it('passes over a member that takes no bytes, until it does', async () => {
    const hub = await startHub();
    const held = await Worker.start(hub);
    const other = await Worker.start(hub, { windowMessages: 2 });
    held.sink.takesMore = false;
    await publish(hub, 6);
    // One hand-over; the other's window was full by then.
    expect(held.got).toEqual(['1', '3', '5', '6']);
    expect(other.got).toEqual(['2', '4']);
    await publish(hub, 1, 'jobs', 7);
    expect(held.got).toHaveLength(4);
    held.sink.takesMore = true;
    held.session.drained();
    await settle();
    expect(held.got).toEqual(['1', '3', '5', '6', '7']);
    expect(held.sink.batches).toHaveLength(2);
  });

  it('takes any call of a member from within its delivery', async () => {
    const hub = await startHub();
    const acting = await Worker.start(hub);
    const other = await Worker.start(hub);
    let times = 0;
    const note = acting.sink.onDeliver!;
    acting.sink.onDeliver = (batch, subscription) => {
      note(batch, subscription);
      times += 1;
      if (times === 1) subscription.release(batch.firstSeq);
      else if (times === 2) subscription.ack(batch.firstSeq, true);
      else acting.session.end();
    };
    await publish(hub, 1);
    expect([acting.got, other.got]).toEqual([['1'], ['1!']]);
    for (let at = 2; at <= 5; at += 1) await publish(hub, 1, 'jobs', at);
    expect(acting.got).toEqual(['1', '2', '4']);
    expect(other.got).toEqual(['1!', '3', '4!', '5']);
  });

  it('costs a member whose sink throws its connection, and loses no message', async () => {
    const hub = await startHub();
    const broken = await Worker.start(hub);
    const other = await Worker.start(hub);
    const closed: string[] = [];
    Object.assign(broken.sink, { close: ({ error }: { error: Error }) => closed.push(error.message) });
    broken.sink.onDeliver = () => {
      throw new Error('a fault in a transport');
    };
    await publish(hub, 2);
    expect(closed).toHaveLength(1);
    expect(other.got.map((text) => text.slice(0, 1)).sort()).toEqual(['1', '2']);
  });

  it('acks cumulatively in the order in which a member was given its messages', async () => {
    const hub = await startHub();
    const member = await Worker.start(hub, { keepGroup: true });
    await publish(hub, 3);
    member.subscription.release(member.unacked[0]!);
    await settle();
    expect(member.got).toEqual(['1', '2', '3', '1!']);
    member.subscription.ack(member.unacked[2]!);
    member.session.end();
    const next = await Worker.start(hub);
    await settle();
    expect(next.got).toEqual(['1!']);
  });

  it('does not give out what has expired while it waited', async () => {
    const hub = await startHub();
    const member = await Worker.start(hub, { windowMessages: 1, keepGroup: true });
    const session = await openSession(hub);
    const { timeMs } = await session.publish('jobs', { payload: Buffer.from('short'), ttlMs: 5 });
    await settle();
    while (Date.now() <= timeMs + 5) await turn();
    const other = await Worker.start(hub);
    member.session.end();
    await publish(hub, 1, 'jobs', 2);
    expect(other.got).toEqual(['2']);
  });

  it('gives a message only to a member that may have it, and passes over one that none may', async () => {
    const access: Access = {
      ...openAccess,
      authenticate: ({ token }) => Promise.resolve({ subject: token, isAdmin: false }),
      deliverable:
        ({ subject }) =>
        (channel) =>
          subject === undefined || channel === `jobs/${subject}`,
      authorizeSubscribe: () => undefined,
    };
    const hub = await startHub({ access });
    const worker = async (token: string) => {
      const sink = new RecordingSink();
      const session = hub.open(
        await hub.authenticate({ token, address: undefined }),
        { transport: 'test' },
        sink,
      );
      await follow(session, '$share/g/jobs/*', { acknowledge: 'peer', windowMessages: 2 });
      return sink;
    };
    const [a, b] = [await worker('a'), await worker('b')];
    for (const channel of ['a', 'a', 'denied', 'b', 'b']) await publish(hub, 1, `jobs/${channel}`);
    expect(a.batches.flatMap(({ messages }) => messages.map(({ channel }) => channel))).toEqual([
      'jobs/a',
      'jobs/a',
    ]);
    expect(b.texts).toHaveLength(2);
  });

  it('asks for the right to its filter, and for a name', async () => {
    const access: Access = {
      ...openAccess,
      authorizeSubscribe: (_identity, { text }) => {
        if (text === 'secret') throw Object.assign(new Error('no'), { code: 'forbidden' });
      },
    };
    const hub = await startHub({ access });
    const session = await openSession(hub);
    await expect(follow(session, '$share/g/secret', {})).rejects.toMatchObject({ code: 'forbidden' });
    await expect(follow(session, '$share/g+/a', {})).rejects.toMatchObject({ code: 'bad_name' });
    await expect(follow(session, jobs, { from: { after: 'x' } })).rejects.toMatchObject({
      code: 'bad_cursor',
    });
    await expect(follow(session, jobs, { echo: false })).rejects.toMatchObject({ code: 'invalid' });
    expect(hub.figures.subscriptions).toBe(0);
  });

  it('tells its members of a gap', async () => {
    const hub = await startHub({
      namespaces: {
        rulesOf: () => ({
          ...defaultRules,
          retention: { countMax: 2, ageMsMax: 1e9, bytesMax: 1e9 },
        }),
      },
    });
    await publish(hub, 5);
    const first = await openSession(hub);
    const before = await first.read('jobs', undefined, 1);
    const cursor = before.messages[0]!.cursor;
    const member = await Worker.start(hub, { from: { after: cursor }, windowMessages: 1 });
    await publish(hub, 6, 'jobs', 6);
    member.ackAll();
    await settle();
    expect(member.sink.notices).toMatchObject([{ kind: 'gap', gap: { channel: 'jobs', from: 7, to: 9 } }]);
    expect(member.got).toEqual(['6', '10']);
  });

  it('counts its members as subscribers and ends a long poll of one batch', async () => {
    const hub = await startHub();
    const poll = await Worker.start(hub, { acknowledge: 'delivered', batches: 1, batchMessagesMax: 2 });
    await Worker.start(hub, { windowMessages: 1 });
    await publish(hub, 1, 'other');
    expect(hub.dispatcher.subscribersOf('jobs')).toBe(2);
    await publish(hub, 5);
    expect(poll.sink.notices.map(({ kind }) => kind)).toEqual(['ended']);
    expect(hub.dispatcher.subscribersOf('jobs')).toBe(1);
    expect(hub.figures.subscriptions).toBe(1);
  });

  it('gives nothing to a session that is ending, when its other members give messages back', async () => {
    const hub = await startHub();
    const sink = new RecordingSink();
    const session = await openSession(hub, sink);
    await follow(session, jobs, { acknowledge: 'peer', windowMessages: 2 });
    await follow(session, jobs, { acknowledge: 'peer', windowMessages: 9 });
    await publish(hub, 4);
    expect(sink.texts).toHaveLength(4);
    const other = await Worker.start(hub);
    session.end();
    await settle();
    expect(sink.texts).toHaveLength(4);
    expect(other.got.sort()).toEqual(['1!', '2!', '3!', '4!']);
  });

  it('fills a window batch by batch, with no ack between', async () => {
    const hub = await startHub();
    const member = await Worker.start(hub, { windowMessages: 5, batchMessagesMax: 2 });
    await publish(hub, 9);
    expect(member.sink.batches.map(({ messages }) => messages.length)).toEqual([2, 2, 1]);
    // Also with what another one gives back.
    const other = await Worker.start(hub, { windowMessages: 6, batchMessagesMax: 2 });
    await settle();
    expect(other.got).toEqual(['6', '7', '8', '9']);
    const next = await Worker.start(hub, { windowMessages: 9, batchMessagesMax: 2 });
    other.session.end();
    await settle();
    expect(next.got).toEqual(['6!', '7!', '8!', '9!']);
  });

  it('takes back thousands one by one from a peer that reads nothing, and gives them out in order', async () => {
    const hub = await startHub();
    const count = 5_000;
    const held = await Worker.start(hub, { windowMessages: count });
    const session = await openSession(hub);
    const draft = { payload: Buffer.from('x'), type: 'text/plain' };
    for (let sent = 0; sent < count; sent += 500)
      await session.publishAll(Array.from({ length: 500 }, () => ({ channel: 'jobs', draft })));
    while (held.unacked.length < count) await turn();
    held.sink.takesMore = false;
    held.subscription.release(held.unacked[0]!);
    await settle();
    for (const seq of held.unacked.slice(1, count).reverse()) held.subscription.release(seq);
    const other = await Worker.start(hub, { windowMessages: count });
    while (other.unacked.length < count - 1) await turn();
    expect(other.got.every((text) => text === 'x!')).toBe(true);
    expect(other.unacked).toEqual(other.unacked.toSorted((left, right) => left - right));
  });

  it('refuses a member that joins while the store fails, and begins for the next one', async () => {
    const store = makeStore();
    const { records } = store;
    const hub = await startHub({ store });
    const [get, follow] = [records.get.bind(records), store.follow.bind(store)];
    const unavailable = () => Promise.reject(new EverywireError('store_unavailable', 'away'));
    Object.assign(records, { get: unavailable });
    Object.assign(store, { follow: unavailable });
    const refused = { code: 'store_unavailable' };
    const joining = [Worker.start(hub), Worker.start(hub)];
    for (const one of joining) await expect(one).rejects.toMatchObject(refused);
    await settle();
    Object.assign(records, { get });
    Object.assign(store, { follow });
    const member = await Worker.start(hub);
    await publish(hub, 1);
    expect(member.got).toEqual(['1']);
  });

  it('does not share its name with a group that still begins for a member that has gone', async () => {
    const hub = await startHub();
    const session = await openSession(hub);
    const joining = follow(session, jobs, { keepGroup: true });
    session.end();
    await expect(joining).rejects.toMatchObject({ code: 'going_away' });
    const member = await Worker.start(hub);
    await publish(hub, 1);
    expect(member.got).toEqual(['1']);
  });
});

describe('what is kept of a group', () => {
  it('ends with its last member, or waits for the next one when a member asked for that', async () => {
    const hub = await startHub();
    const fleeting = await Worker.start(hub, {}, '$share/fleeting/jobs');
    const kept = await Worker.start(hub, { keepGroup: true }, '$share/kept/jobs');
    fleeting.session.end();
    kept.session.end();
    await publish(hub, 2);
    expect((await Worker.start(hub, {}, '$share/fleeting/jobs')).got).toEqual([]);
    const back = await Worker.start(hub, { from: { since: { kind: 'latest' } } }, '$share/kept/jobs');
    await settle();
    expect(back.got).toEqual(['1', '2']);
    back.ackAll();
    back.session.end();
    hub.forgetGroup('$share/kept/jobs');
    await publish(hub, 1, 'jobs', 3);
    const anew = await Worker.start(hub, {}, '$share/kept/jobs');
    hub.forgetGroup('$share/kept/jobs');
    await publish(hub, 1, 'jobs', 4);
    expect(anew.got).toEqual(['4']);
  });

  it('survives a restart exactly, with no member that left by itself', async () => {
    const store = makeStore();
    const hub = await startHub({ store });
    const worker = await Worker.start(hub);
    await publish(hub, 4);
    worker.subscription.ack(worker.unacked[2]!, true);
    worker.subscription.ack(worker.unacked[0]!, true);
    hub.beginDrain();
    worker.session.end();
    await hub.groups.stop();
    const next = await startHub({ store });
    await publish(next, 1, 'jobs', 5);
    const back = await Worker.start(next);
    await settle();
    expect(back.got).toEqual(['2!', '4!', '5']);
  });

  it('loses nothing when the process is killed, and marks what may have been delivered', async () => {
    const store = makeStore();
    const hub = await startHub({ store });
    const worker = await Worker.start(hub, { windowMessages: 3 });
    await publish(hub, 5);
    worker.ackAll();
    await settle();
    const next = await afterCrash(store);
    await publish(next, 1, 'jobs', 6);
    const back = await Worker.start(next);
    await settle();
    // Everything up to the head at opening counts as delivered before.
    expect(back.got.filter((text) => text.endsWith('!')).map((text) => text.slice(0, -1))).toEqual(
      back.got.filter((text) => text !== '6').map((text) => text.slice(0, -1)),
    );
    expect(back.got.slice(-3)).toEqual(['4!', '5!', '6']);
  });

  it('knows where a new group began before any member has heard of it', async () => {
    const store = makeStore();
    const hub = await startHub({ store });
    await publish(hub, 1, 'jobs', 1);
    await Worker.start(hub, { windowMessages: 1 });
    await publish(hub, 2, 'jobs', 2);
    const next = await afterCrash(store);
    const back = await Worker.start(next);
    await settle();
    expect(back.got).toEqual(['2!', '3!']);
  });

  it('is written for many acks together', async () => {
    const store = makeStore();
    let writes = 0;
    const { records } = store;
    const write = records.write.bind(records);
    records.write = (rows) => {
      writes += 1;
      return write(rows);
    };
    const hub = await startHub({ store });
    const worker = await Worker.start(hub, { windowMessages: 1_000 });
    await publish(hub, 500);
    const before = writes;
    for (const seq of worker.unacked.splice(0)) {
      worker.subscription.ack(seq, true);
      if (seq % 50 === 0) await turn();
    }
    expect(writes - before).toBeLessThanOrEqual(3);
  });

  it('is bounded in number and, without members, in time', async () => {
    let nowMs = 1_000;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const limits = { ...defaultLimits, groupsMax: 2, groupIdleMs: 1_000 };
    const store = makeStore();
    const hub = await startHub({ clock, limits, store });
    const one = await Worker.start(hub, { keepGroup: true }, '$share/1/a');
    one.session.end();
    await Worker.start(hub, {}, '$share/2/a');
    await expect(Worker.start(hub, {}, '$share/3/a')).rejects.toMatchObject({ code: 'quota_exceeded' });
    const again = await Worker.start(hub, {}, '$share/1/a');
    again.session.end();
    nowMs += 999;
    hub.groups.sweep();
    await expect(Worker.start(hub, {}, '$share/3/a')).rejects.toMatchObject({ code: 'quota_exceeded' });
    nowMs += 1;
    hub.groups.sweep();
    await Worker.start(hub, {}, '$share/3/a');
    await hub.groups.stop();
    expect((await store.records.list('groups', '', undefined, 10)).map(({ key }) => key)).toEqual([
      '2/a',
      '3/a',
    ]);
  });

  it('is not started anew where its record cannot be read', async () => {
    const store = makeStore();
    const hub = await startHub({ store });
    await store.records.write([{ table: 'groups', key: 'workers/jobs', value: Buffer.from('{}') }]);
    await expect(Worker.start(hub)).rejects.toMatchObject({ code: 'internal' });
    expect(await store.records.get('groups', 'workers/jobs')).toEqual(Buffer.from('{}'));
  });
});
