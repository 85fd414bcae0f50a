import { expect, it } from 'vitest';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';
import { SessionRecords } from '../../../src/transports/socketio/records.ts';

const hourMs = 3_600_000;
const quiet = (): void => undefined;
const identity = { subject: 'user-1', isAdmin: false };

function begin(limits: { readonly ioSessionsMax: number }, records = new MemoryRecords()) {
  let nowMs = Date.UTC(2026, 10, 21);
  const open = new Set<string>();
  const touched: string[] = [];
  const rows = { has: (key: string) => open.has(key), touch: (key: string) => touched.push(key) };
  const sessions = new SessionRecords({
    records,
    limits: { ioSessionAgeMsMax: 10 * hourMs, ioPollAgeMsMax: hourMs, ...limits },
    clock: { nowMs: () => nowMs, monotonicMs: () => nowMs, after: () => ({ cancel: quiet }), turn: quiet },
    random: createSystemRandom(),
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    sessions: rows,
    polls: rows,
  });
  const save = async (): Promise<string> => {
    const pid = sessions.newPid();
    await sessions.saveSession(pid, { sid: 'sid', ioNamespace: '/', identity, follows: [['a', 'cursor']] });
    nowMs += 1;
    return pid;
  };
  return { sessions, open, touched, save, pass: (ms: number) => (nowMs += ms) };
}

it('gives back what was kept, to whoever knows its name', async () => {
  const { sessions, save } = begin({ ioSessionsMax: 10 });
  const pid = await save();
  expect(await sessions.session(pid)).toMatchObject({ identity, follows: [['a', 'cursor']] });
  expect(await sessions.session(pid.slice(0, -1))).toBeUndefined();
  expect(await sessions.session('__proto__')).toBeUndefined();
  await sessions.removeSession(pid);
  expect(await sessions.session(pid)).toBeUndefined();
});

it('lets go of what is old, and keeps young what is in use', async () => {
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

it('lets go of the oldest when there are too many, but of none that is in use', async () => {
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

it.each(['', 'null', '[]', '{"atMs":', '{"atMs":"now"}', '{"atMs":1e15}', '{"atMs":1e15,"follows":[["a"]]}'])(
  'a row that is none, %j, is as good as none, and does not keep others from being let go of',
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
