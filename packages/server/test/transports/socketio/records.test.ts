import { expect, it } from 'vitest';
import type { Identity } from '../../../src/core/sessions/access.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';
import { SessionRecords } from '../../../src/transports/socketio/records.ts';

const hourMs = 3_600_000;
const quiet = (): void => undefined;
const identity = { subject: 'user-1', isAdmin: false };

interface Most {
  readonly ioSessionsMax: number;
  readonly ioSessionsPerSubjectMax?: number;
}

function begin(limits: Most, records = new MemoryRecords()) {
  let nowMs = Date.UTC(2026, 10, 21);
  const open = new Set<string>();
  const touched: string[] = [];
  const rows = { has: (key: string) => open.has(key), touch: (key: string) => touched.push(key) };
  const sessions = new SessionRecords({
    records,
    limits: {
      ioSessionAgeMsMax: 10 * hourMs,
      ioPollAgeMsMax: hourMs,
      ioSessionsPerSubjectMax: 1,
      ...limits,
    },
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs, after: () => ({ cancel: quiet }), turn: quiet },
    random: createSystemRandom(),
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    sessions: rows,
    polls: rows,
  });
  const save = async (whose: Identity = identity): Promise<string> => {
    const pid = sessions.newPid();
    await sessions.saveSession(pid, {
      sid: 'sid',
      ioNamespace: '/',
      identity: whose,
      follows: [['a', 'cursor']],
    });
    nowMs += 1;
    return pid;
  };
  return { sessions, open, touched, save, pass: (ms: number) => (nowMs += ms) };
}

it('gives back what was kept, to a client that knows its name', async () => {
  const { sessions, save } = begin({ ioSessionsMax: 10 });
  const pid = await save();
  expect(await sessions.session(pid)).toMatchObject({ identity, follows: [['a', 'cursor']] });
  expect(await sessions.session(pid.slice(0, -1))).toBeUndefined();
  expect(await sessions.session('__proto__')).toBeUndefined();
  await sessions.removeSession(pid);
  expect(await sessions.session(pid)).toBeUndefined();
});

it('removes what is old, and keeps young what is in use', async () => {
  const { sessions, open, touched, save, pass } = begin({ ioSessionsMax: 10 });
  const [gone, used] = [await save(), await save()];
  open.add(used);
  await sessions.savePoll('polling', { sockets: [], waiting: [] });
  pass(6 * hourMs);
  const young = await save();
  await sessions.sweep();
  expect(touched).toEqual([used]);
  expect(await sessions.poll('polling')).toBeUndefined();
  expect(await sessions.session(gone)).toBeDefined();
  pass(5 * hourMs);
  expect(await sessions.session(gone)).toBeUndefined();
  await sessions.sweep();
  pass(-5 * hourMs);
  expect(await sessions.session(gone)).toBeUndefined();
  expect(await sessions.session(used)).toBeDefined();
  expect(await sessions.session(young)).toBeDefined();
});

it('removes the oldest when there are too many, but of none that is in use', async () => {
  const { sessions, open, save } = begin({ ioSessionsMax: 3 });
  const pids: string[] = [];
  for (let count = 0; count < 250; count += 1) pids.push(await save());
  expect([...pids].sort()).toEqual(pids);
  open.add(pids[0]!);
  await sessions.sweep();
  const left = [];
  for (const pid of pids) if ((await sessions.session(pid)) !== undefined) left.push(pid);
  expect(left).toEqual([pids[0], ...pids.slice(-2)]);
});

it('removes the oldest of a subject that has more than its share, before others lose any (T34)', async () => {
  const { sessions, open, save } = begin({ ioSessionsMax: 260, ioSessionsPerSubjectMax: 4 });
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
  for (const at of [0, 300]) open.add(pids.get(eve)![at]!);
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
    const records = new MemoryRecords();
    const { sessions, save, pass } = begin({ ioSessionsMax: 10 }, records);
    const [gone, odd] = [await save(), sessions.newPid()];
    const value = Buffer.from(row);
    await records.write([
      { table: 'socketio.sessions', key: odd, value },
      { table: 'socketio.polls', key: 'sid', value },
    ]);
    expect(await sessions.session(odd)).toBeUndefined();
    expect(await sessions.poll('sid')).toBeUndefined();
    pass(11 * hourMs);
    await sessions.sweep();
    for (const key of [gone, odd]) expect(await records.get('socketio.sessions', key)).toBeUndefined();
    expect(await records.get('socketio.polls', 'sid')).toBeUndefined();
  },
);
