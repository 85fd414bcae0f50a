import { expect, it } from 'vitest';
import type { Identity } from '../../../src/core/sessions/access.ts';
import type { DurableHolder, DurableSession } from '../../../src/core/durable/kind.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import {
  followed,
  removed,
  SessionRecords,
  type PollState,
  type SessionState,
} from '../../../src/transports/socketio/records.ts';
import { cursorAt, TestClock, TestNode, TestStore } from '../../core/durable/rig.ts';

const hourMs = 3_600_000;
const identity = { subject: 'user-1', isAdmin: false };

interface Most {
  readonly ioSessionsMax: number;
  readonly ioSessionsPerSubjectMax?: number;
}

function begin(limits: Most, store = new TestStore()) {
  const clock = new TestClock();
  const sessions = new SessionRecords({
    durable: new TestNode(store, clock).services,
    limits: {
      ioSessionAgeMsMax: 10 * hourMs,
      ioPollAgeMsMax: hourMs,
      ioSessionsPerSubjectMax: 1,
      ...limits,
    },
    random: createSystemRandom(),
  });
  const holderOf = (whose: Identity, state: SessionState | PollState): DurableHolder => ({
    subscriptions: () => [followed('a', cursorAt(1))],
    state: () => state,
    rights: () => ({ isAdmin: whose.isAdmin, claims: whose.claims }),
    lost: () => undefined,
  });
  const open = async (whose: Identity = identity): Promise<DurableSession> => {
    const holder = holderOf(whose, { sid: 'sid', ioNamespace: '/' });
    const { session } = await sessions.openSession(sessions.newPid(), holder, whose);
    await session.save();
    await clock.pass(1);
    return session;
  };
  const savePoll = async (sid: string): Promise<void> => {
    const { session } = await sessions.openPoll(sid, holderOf(identity, { sockets: [], waiting: [] }));
    await session.save();
    session.release();
  };
  const save = async (whose: Identity = identity): Promise<string> => {
    const session = await open(whose);
    session.release();
    return session.key;
  };
  const comeBack = async (pid: string): Promise<void> => {
    const { session } = await sessions.openSession(
      pid,
      holderOf(identity, { sid: 'sid', ioNamespace: '/' }),
      identity,
    );
    session.adopt();
  };
  return { store, sessions, open, save, savePoll, comeBack, pass: (ms: number) => clock.pass(ms) };
}

it('gives the stored state to a client that knows its name', async () => {
  const { sessions, open } = begin({ ioSessionsMax: 10 });
  const session = await open();
  const pid = session.key;
  expect(await sessions.session(pid)).toMatchObject({ identity, follows: [['a', cursorAt(1)]] });
  expect(await sessions.session(pid.slice(0, -1))).toBeUndefined();
  expect(await sessions.session('__proto__')).toBeUndefined();
  await removed(session);
  expect(await sessions.session(pid)).toBeUndefined();
});

it('removes old rows, and refreshes rows in use', async () => {
  const { store, sessions, save, savePoll, comeBack, pass } = begin({ ioSessionsMax: 10 });
  const [gone, used] = [await save(), await save()];
  const writes = store.writes;
  await comeBack(used);
  expect(store.writes).toBe(writes);
  await savePoll('polling');
  await pass(6 * hourMs);
  const young = await save();
  const before = store.writes;
  await sessions.sweep();
  // One that removes the poll, one that keeps what is in use.
  await pass(100);
  expect(store.writes).toBe(before + 2);
  expect(await sessions.poll('polling')).toBeUndefined();
  expect(await sessions.session(gone)).toBeDefined();
  await pass(5 * hourMs);
  expect(await sessions.session(gone)).toBeUndefined();
  await sessions.sweep();
  expect(await store.rows.get('socketio.sessions', gone)).toBeUndefined();
  expect(await sessions.session(used)).toBeDefined();
  expect(await sessions.session(young)).toBeDefined();
});

it('removes the oldest when there are too many, but none that is in use', async () => {
  const { sessions, comeBack, save } = begin({ ioSessionsMax: 3 });
  const pids: string[] = [];
  for (let count = 0; count < 250; count += 1) pids.push(await save());
  expect([...pids].sort()).toEqual(pids);
  await comeBack(pids[0]!);
  await sessions.sweep();
  const left = [];
  for (const pid of pids) if ((await sessions.session(pid)) !== undefined) left.push(pid);
  expect(left).toEqual([pids[0], ...pids.slice(-2)]);
});

it('removes the oldest of a subject that has more than its limit, before others lose any (T34)', async () => {
  const { sessions, comeBack, save } = begin({ ioSessionsMax: 260, ioSessionsPerSubjectMax: 4 });
  const claims = { subscribe: [], publish: [], expiresAtMs: Number.MAX_SAFE_INTEGER };
  const as = (subject: string, isAdmin = false): Identity => ({ subject, isAdmin, claims });
  const pids = new Map<Identity, string[]>();
  const saveMany = async (whose: Identity, count: number): Promise<void> => {
    const saved: string[] = [];
    for (let at = 0; at < count; at += 1) saved.push(await save(whose));
    pids.set(whose, saved);
  };
  const left = async (whose: Identity): Promise<readonly number[]> => {
    const numbers = [];
    for (const [at, pid] of pids.get(whose)!.entries())
      if ((await sessions.session(pid)) !== undefined) numbers.push(at);
    return numbers;
  };
  const [ann, root, eve, bob, nobody] = [as('ann'), as('root', true), as('eve'), as('bob'), identity];
  await saveMany(ann, 4);
  await saveMany(root, 6);
  await saveMany(eve, 450);
  await saveMany(bob, 3);
  await saveMany(nobody, 6);
  for (const at of [0, 300]) await comeBack(pids.get(eve)![at]!);
  await sessions.sweep();
  expect(await left(eve)).toEqual([0, 300, 448, 449]);
  expect(await left(ann)).toEqual([0, 1, 2, 3]);
  expect(await left(root)).toHaveLength(6);
  expect(await left(bob)).toHaveLength(3);
  expect(await left(nobody)).toHaveLength(6);
});

it('removes the oldest of all where the shares together are too many', async () => {
  const { sessions, save } = begin({ ioSessionsMax: 5, ioSessionsPerSubjectMax: 3 });
  const claims = { subscribe: [], publish: [], expiresAtMs: Number.MAX_SAFE_INTEGER };
  const pids: string[] = [];
  for (const subject of ['ann', 'eve', 'eve', 'eve', 'eve', 'eve', 'ann', 'ann'])
    pids.push(await save({ subject, isAdmin: false, claims }));
  await sessions.sweep();
  const left = await Promise.all(pids.map(async (pid) => (await sessions.session(pid)) !== undefined));
  expect(left).toEqual([false, false, false, true, true, true, true, true]);
});

it.each(['', 'null', '[]', '{"atMs":', '{"atMs":"now"}', '{"atMs":1e15}', '{"atMs":1e15,"follows":[["a"]]}'])(
  'an invalid row, %j, counts as absent, and does not keep others from being removed',
  async (row) => {
    const { store, sessions, save, pass } = begin({ ioSessionsMax: 10 });
    const records = store.rows;
    const [gone, odd] = [await save(), sessions.newPid()];
    const value = Buffer.from(row);
    await records.write([
      { table: 'socketio.sessions', key: odd, value },
      { table: 'socketio.polls', key: 'sid', value },
    ]);
    expect(await sessions.session(odd)).toBeUndefined();
    expect(await sessions.poll('sid')).toBeUndefined();
    await pass(11 * hourMs);
    await sessions.sweep();
    for (const key of [gone, odd]) expect(await records.get('socketio.sessions', key)).toBeUndefined();
    expect(await records.get('socketio.polls', 'sid')).toBeUndefined();
  },
);
