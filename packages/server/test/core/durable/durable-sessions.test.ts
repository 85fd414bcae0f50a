import { describe, expect, it } from 'vitest';
import { DurableSessions } from '../../../src/core/durable/durable-sessions.ts';
import type { DurableKind, Leaving } from '../../../src/core/durable/kind.ts';
import {
  begin,
  makeKind,
  anonymous,
  party,
  placeOf,
  settle,
  table,
  TestClock,
  TestHolder,
  TestNode,
  TestStore,
  type TestState,
} from './rig.ts';

interface Rig {
  readonly store: TestStore;
  readonly clock: TestClock;
  readonly node: TestNode;
  readonly sessions: DurableSessions<TestState, number>;
}

interface RigOptions {
  readonly store?: TestStore;
  readonly clock?: TestClock;
  readonly kind?: Partial<DurableKind<TestState, number>>;
  readonly headSeq?: number;
  readonly name?: string;
  readonly living?: readonly string[];
}

async function start(options: RigOptions = {}): Promise<Rig> {
  const { store = new TestStore(), clock = new TestClock(), kind = {}, headSeq = 0, name = 'n1' } = options;
  const node = new TestNode(store, clock, name, options.living ?? [name]);
  node.headSeq = headSeq;
  const sessions = new DurableSessions(makeKind(kind), node.services);
  await sessions.start();
  return { store, clock, node, sessions };
}

/** The server is killed, and started anew on what was durable. */
async function afterCrash({ store, clock, node }: Rig, options: RigOptions = {}): Promise<Rig> {
  node.kill();
  const next = await store.crashed(table, 'test-windows', 'test-parts');
  return start({ store: next, clock, headSeq: node.headSeq, ...options });
}

async function listed(sessions: DurableSessions<TestState, number>) {
  return (await sessions.list(undefined, 100)).sessions;
}

describe('a durable session', () => {
  it('resumes where its holder left it', async () => {
    const { sessions } = await start();
    const { holder, found } = await begin(sessions, 'k');
    expect(found).toBeUndefined();
    Object.assign(holder, { seq: 7, deliveredSeq: 9, note: 'left' });
    await holder.session.leave();
    expect(holder.session.isOpen).toBe(false);
    expect((await listed(sessions))[0]!.row).toMatchObject({ presence: 'away' });
    const again = await begin(sessions, 'k');
    expect(placeOf(again.found)).toEqual({ seq: 7, deliveredWatermark: 9 });
    expect(again.found).toMatchObject({ state: { note: 'left' } });
  });

  it('is nothing before its first save, and what it was before when its holder gives up until then', async () => {
    const { store, sessions } = await start();
    const first = await sessions.open('k', new TestHolder(), { identity: anonymous, keepMs: 1_000 });
    await first.session.leave();
    expect([store.writes, store.tokens.size]).toEqual([0, 0]);
    const { holder } = await begin(sessions, 'k');
    holder.seq = 3;
    await holder.session.leave();
    const second = await sessions.open('k', new TestHolder(), { identity: anonymous, keepMs: 1_000 });
    second.session.saveSoon();
    await second.session.leave();
    expect(placeOf((await begin(sessions, 'k')).found).seq).toBe(3);
  });

  it('asks the store nothing for a client that keeps nothing and left nothing, until it is to be kept', async () => {
    const { store, sessions } = await start();
    const holder = new TestHolder();
    const fleeting = { identity: anonymous, keepMs: 0, keeps: false };
    const { session } = await sessions.open('k', holder, fleeting);
    holder.session = session;
    expect([store.tokens.size, sessions.stored]).toEqual([0, 0]);
    const taker = await sessions.open('k', new TestHolder(), fleeting);
    expect(holder.losses).toEqual(['taken']);
    await taker.session.save();
    expect([store.tokens.size, sessions.stored]).toEqual([1, 1]);
    await taker.session.remove();
    expect([store.tokens.size, sessions.stored, await store.rows.get(table, 'k')]).toEqual([0, 0, undefined]);
  });

  it('is saved within a moment, many sessions in one write', async () => {
    const { store, clock, sessions } = await start();
    const all = await Promise.all(Array.from({ length: 20 }, (_, at) => begin(sessions, `k${at}`)));
    const before = store.writes;
    for (let seq = 1; seq <= 10; seq += 1) {
      for (const { holder } of all) {
        holder.seq = seq;
        holder.session.saveSoon();
      }
    }
    await clock.pass(50);
    expect(store.writes - before).toBe(1);
    const rows = await listed(sessions);
    expect(new Set(rows.map(({ row }) => row.subscriptions[0]!.progress.deliveredWatermark))).toEqual(
      new Set([0]),
    );
    expect(rows).toHaveLength(20);
  });

  it('is gone once it was removed, for its holder too', async () => {
    const { store, sessions } = await start();
    const { holder } = await begin(sessions, 'k');
    await holder.session.remove();
    expect(await store.rows.get(table, 'k')).toBeUndefined();
    await expect(holder.session.save()).rejects.toMatchObject({ code: 'session_taken' });
    expect((await begin(sessions, 'k')).found).toBeUndefined();
    await sessions.remove('k');
    expect(sessions.stored).toBe(0);
  });

  it('can be started anew by its holder', async () => {
    const { store, sessions } = await start();
    const { holder } = await begin(sessions, 'k');
    await holder.session.clear();
    expect(await store.rows.get(table, 'k')).toBeUndefined();
    expect(sessions.stored).toBe(0);
    await holder.session.save();
    expect(sessions.stored).toBe(1);
    expect(await store.rows.get(table, 'k')).toBeDefined();
  });

  it('writes its row in the same commit as the writes of its transport, and nothing when the commit fails', async () => {
    const { store, sessions } = await start();
    const { holder } = await begin(sessions, 'k');
    holder.note = 'with a message';
    await expect(holder.session.save('all', () => Promise.reject(new Error('refused')))).rejects.toThrow(
      'refused',
    );
    holder.note = 'with another';
    await holder.session.leave({}, async ({ records, fences }) => store.write(records, { fences }));
    expect((await begin(sessions, 'k')).found?.state).toEqual({ note: 'with another' });
  });

  it('keeps moving state in a separate row, and parts in separate rows', async () => {
    const kind = { windowTable: 'test-windows', partsTable: 'test-parts' };
    const rig = await start({ kind });
    const { store, clock, sessions } = rig;
    const { holder } = await begin(sessions, 'k');
    const head = await store.rows.get(table, 'k');
    Object.assign(holder, { seq: 5, window_: 42 });
    holder.session.saveSoon();
    await clock.pass(50);
    expect(await store.rows.get(table, 'k')).toEqual(head);
    const { fences } = holder.session;
    await store.write(
      ['1', '2'].map((part) => holder.session.partWrite(part, Buffer.from(part))),
      { fences },
    );
    const next = await afterCrash(rig, { kind });
    const again = await begin(next.sessions, 'k');
    expect(again.found).toMatchObject({
      window: 42,
      parts: new Map([
        ['1', Buffer.from('1')],
        ['2', Buffer.from('2')],
      ]),
    });
    expect(placeOf(again.found).seq).toBe(5);
    await again.holder.session.remove();
    for (const one of [table, 'test-windows', 'test-parts'])
      expect(await next.store.rows.list(one, '', undefined, 9)).toEqual([]);
  });
});

describe('a crash', () => {
  it('costs the last moment, and everything up to the head may have been delivered', async () => {
    const rig = await start();
    const { clock, node, sessions } = rig;
    const { holder } = await begin(sessions, 'k');
    holder.seq = 4;
    holder.session.saveSoon();
    await clock.pass(50);
    holder.seq = 6;
    node.headSeq = 8;
    const next = await afterCrash(rig);
    next.node.headSeq = 20;
    expect(placeOf((await begin(next.sessions, 'k')).found)).toEqual({ seq: 4, deliveredWatermark: 8 });
  });

  it('marks nothing of a session that was away', async () => {
    const rig = await start();
    const { holder } = await begin(rig.sessions, 'k');
    holder.seq = 4;
    holder.deliveredSeq = 5;
    await holder.session.leave();
    rig.node.headSeq = 8;
    const next = await afterCrash(await afterCrash(rig));
    expect(placeOf((await begin(next.sessions, 'k')).found)).toEqual({ seq: 4, deliveredWatermark: 5 });
  });

  it('marks what it may have delivered also after further crashes, and no more than that', async () => {
    const rig = await start();
    await begin(rig.sessions, 'k');
    rig.node.headSeq = 8;
    const second = await afterCrash(rig);
    second.node.headSeq = 30;
    const third = await afterCrash(second);
    expect(placeOf((await begin(third.sessions, 'k')).found).deliveredWatermark).toBe(8);
  });

  it('of another node leaves the open sessions of living ones alone', async () => {
    const store = new TestStore();
    const clock = new TestClock();
    const living = ['n1', 'n2'];
    const one = await start({ store, clock, living });
    await begin(one.sessions, 'k');
    const row = await store.rows.get(table, 'k');
    await start({ store, clock, living, name: 'n2', headSeq: 9 });
    expect(await store.rows.get(table, 'k')).toEqual(row);
  });
});

describe('a take-over', () => {
  it('waits for the holder to leave, and resumes exactly', async () => {
    const { sessions } = await start();
    const { holder } = await begin(sessions, 'k');
    Object.assign(holder, { seq: 3, deliveredSeq: 4 });
    const isOver = Promise.withResolvers<undefined>();
    holder.onTaken = async () => {
      await isOver.promise;
      await holder.session.leave();
    };
    let isTaken = false;
    const taking = begin(sessions, 'k').finally(() => (isTaken = true));
    await settle();
    expect([holder.losses, isTaken]).toEqual([['taken'], false]);
    isOver.resolve(undefined);
    expect(placeOf((await taking).found)).toEqual({ seq: 3, deliveredWatermark: 4 });
  });

  it.each<[string, TestHolder['onTaken']]>([
    ['does nothing', () => undefined],
    [
      'throws',
      () => {
        throw new Error('broken');
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
  ])('from a holder that %s takes it for killed', async (_how, onTaken) => {
    const { node, sessions } = await start();
    const { holder } = await begin(sessions, 'k');
    holder.onTaken = onTaken;
    node.headSeq = 5;
    const { found } = await begin(sessions, 'k');
    expect(placeOf(found).deliveredWatermark).toBe(5);
    expect(holder.session.isOpen).toBe(false);
    await holder.session.leave();
    expect(sessions.isOpen('k')).toBe(true);
  });

  it('by another node refuses what the old owner still writes, and tells it', async () => {
    const store = new TestStore();
    const clock = new TestClock();
    const living = ['n1', 'n2'];
    const one = await start({ store, clock, living });
    const { holder } = await begin(one.sessions, 'k');
    const others = await Promise.all(['o1', 'o2', 'o3'].map((key) => begin(one.sessions, key)));
    // What it had under way: sent with the fences of then.
    const { fences } = holder.session;
    const two = await start({ store, clock, living, name: 'n2' });
    const taker = await begin(two.sessions, 'k');
    taker.holder.seq = 9;
    await taker.holder.session.save();
    const late = store.write([{ table, key: 'k', value: Buffer.from('late') }], { fences });
    await expect(late).rejects.toMatchObject({ code: 'conflict' });
    expect(holder.losses).toEqual(['stale']);
    await expect(holder.session.save()).rejects.toMatchObject({ code: 'session_taken' });
    for (const other of others) {
      other.holder.seq = 2;
      other.holder.session.saveSoon();
    }
    await clock.pass(50);
    await holder.session.leave();
    await taker.holder.session.leave();
    expect(placeOf((await begin(two.sessions, 'k')).found).seq).toBe(9);
  });

  it('that the old owner does not hear of costs it only that one session', async () => {
    const { store, clock, node, sessions } = await start();
    const all = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => begin(sessions, key)));
    // Taken over by a node whose news of it has not come.
    store.tokens.set(`${table}/c`, { token: 'of another', node: 'n2', lost: new AbortController() });
    for (const { holder } of all) {
      holder.seq = 7;
      holder.session.saveSoon();
    }
    await clock.pass(50);
    expect(all.map(({ holder }) => holder.losses)).toEqual([[], [], ['stale'], [], []]);
    expect(node.logged.filter((line) => line.startsWith('warn'))).toHaveLength(1);
    const rows = await listed(sessions);
    expect(
      rows.map(({ row }) => placeOf({ ...all[0]!.found!, subscriptions: row.subscriptions }).seq),
    ).toEqual([7, 7, 0, 7, 7]);
  });
});

describe('what cannot be written', () => {
  it('stays unsaved, and is tried again until it is', async () => {
    const { store, clock, sessions, node } = await start();
    const { holder } = await begin(sessions, 'k');
    store.failures = 2;
    holder.seq = 5;
    holder.session.saveSoon();
    await clock.pass(3_000);
    expect((await listed(sessions))[0]!.row.subscriptions[0]!.progress.cursor).toContain('.5.');
    expect(node.logged).toHaveLength(2);
  });

  it.each<[string, Leaving]>([
    ['at once', {}],
    ['soon', { soon: true }],
  ])('by a leaving holder %s is written before the next one has the session', async (_how, leaving) => {
    const { store, clock, sessions } = await start();
    const { holder } = await begin(sessions, 'k');
    Object.assign(holder, { seq: 5, deliveredSeq: 5 });
    store.failures = 2;
    await holder.session.leave(leaving).catch(() => undefined);
    const away = { code: 'store_unavailable' };
    while (store.failures > 0) await expect(begin(sessions, 'k')).rejects.toMatchObject(away);
    const peek = await sessions.open('k', new TestHolder(), { identity: anonymous, keepMs: 1_000 });
    expect(placeOf(peek.found)).toEqual({ seq: 5, deliveredWatermark: 5 });
    await peek.session.leave();
    await clock.pass(3_000);
    expect((await listed(sessions))[0]!.row).toMatchObject({ presence: 'away' });
    expect(store.tokens.size).toBe(0);
  });

  it('makes a first save fail, and is not counted then', async () => {
    const { store, sessions } = await start({
      kind: { quota: { policy: 'refuse', max: 1, perSubjectMax: 1 } },
    });
    store.failures = 1;
    await expect(begin(sessions, 'k')).rejects.toMatchObject({ code: 'store_unavailable' });
    await sessions.remove('k');
    expect(sessions.stored).toBe(0);
    await begin(sessions, 'other');
  });
});

describe('quotas', () => {
  const quota = { policy: 'refuse', max: 5, perSubjectMax: 2 } as const;
  const refused = { code: 'quota_exceeded' };

  it('hold for one subject and for all, and not for a client that has its session already', async () => {
    const { sessions } = await start({ kind: { quota } });
    const eve = { identity: party('eve') };
    const { holder } = await begin(sessions, 'e1', eve);
    await begin(sessions, 'e2', eve);
    await expect(begin(sessions, 'e3', eve)).rejects.toMatchObject(refused);
    await holder.session.leave();
    await begin(sessions, 'e1', eve);
    for (const key of ['n1', 'n2', 'n3']) await begin(sessions, key);
    await expect(begin(sessions, 'n4')).rejects.toMatchObject(refused);
    expect(sessions.stored).toBe(5);
  });

  it('are kept by many that come at once, while their writes are under way', async () => {
    const { store, sessions } = await start({ kind: { quota } });
    const release = store.hold();
    const asked = Array.from({ length: 20 }, (_, at) =>
      begin(sessions, `k${at}`, { identity: party('eve') }),
    );
    const results = Promise.allSettled(asked);
    await settle();
    release();
    expect((await results).filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(sessions.stored).toBe(2);
  });

  it('make room when a removal is durable, and count one that is started anew meanwhile once', async () => {
    const { store, sessions } = await start({ kind: { quota } });
    const eve = { identity: party('eve') };
    const { holder } = await begin(sessions, 'e1', eve);
    await begin(sessions, 'e2', eve);
    const release = store.hold();
    await holder.session.leave({ soon: true });
    const removed = sessions.remove('e1');
    const anew = begin(sessions, 'e1', eve);
    await settle();
    await expect(begin(sessions, 'e3', eve)).rejects.toMatchObject(refused);
    release();
    await removed;
    await anew;
    expect(sessions.stored).toBe(2);
    await expect(begin(sessions, 'e3', eve)).rejects.toMatchObject(refused);
    await sessions.remove('e1');
    await begin(sessions, 'e3', eve);
  });

  it('count what an earlier run kept', async () => {
    const rig = await start({ kind: { quota } });
    await begin(rig.sessions, 'e1', { identity: party('eve') });
    await begin(rig.sessions, 'e2', { identity: party('eve') });
    const next = await afterCrash(rig, { kind: { quota } });
    await expect(begin(next.sessions, 'e3', { identity: party('eve') })).rejects.toMatchObject(refused);
    await begin(next.sessions, 'b', { identity: party('bob') });
  });

  it('count no session that its holder left before the first save', async () => {
    const { store, clock, sessions } = await start({ kind: { quota } });
    const asked = { identity: party('eve'), keepMs: undefined };
    for (let at = 0; at < 3; at += 1) {
      const { session } = await sessions.open(`e${at}`, new TestHolder(), asked);
      await session.leave();
    }
    expect(sessions.stored).toBe(0);
    // Neither one whose first save failed, nor one that was taken over before it.
    store.failures = 1;
    await expect(begin(sessions, 'f', { identity: party('eve') })).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    const first = new TestHolder();
    first.session = (await sessions.open('t', first, asked)).session;
    const second = await sessions.open('t', new TestHolder(), asked);
    await second.session.leave();
    await sessions.remove('f');
    await clock.pass(1_000);
    expect([sessions.stored, store.tokens.size]).toEqual([0, 0]);
    // And one that was there before is still counted.
    const { holder } = await begin(sessions, 'kept', { identity: party('eve') });
    await holder.session.leave();
    const peek = await sessions.open('kept', new TestHolder(), asked);
    await peek.session.leave();
    expect(sessions.stored).toBe(1);
  });

  it('may be asked before anything is done', async () => {
    const { sessions } = await start({
      kind: { quota: { policy: 'refuse', max: 1, perSubjectMax: undefined } },
    });
    sessions.checkRoom('k', anonymous);
    await begin(sessions, 'k');
    sessions.checkRoom('k', anonymous);
    expect(() => sessions.checkRoom('other', anonymous)).toThrow('at most 1 test sessions');
  });
});

describe('expiry', () => {
  it('ends a client that does not come back in time, and none earlier', async () => {
    const { store, clock, sessions } = await start();
    const { holder } = await begin(sessions, 'k', { keepMs: 1_000 });
    await clock.pass(5_000);
    await holder.session.leave();
    await clock.pass(900);
    const again = await begin(sessions, 'k', { keepMs: 1_000 });
    expect(again.found).toBeDefined();
    await again.holder.session.leave();
    await clock.pass(1_300);
    expect([await store.rows.get(table, 'k'), sessions.stored, store.tokens.size]).toEqual([undefined, 0, 0]);
  });

  it('frees its place at once when it is swept', async () => {
    const { clock, sessions } = await start({
      kind: { quota: { policy: 'refuse', max: 1, perSubjectMax: 1 } },
    });
    const { holder } = await begin(sessions, 'k', { keepMs: 1 });
    await holder.session.leave();
    await clock.pass(1);
    sessions.expire();
    sessions.checkRoom('other', anonymous);
    const { found } = await begin(sessions, 'k');
    expect(found).toBeUndefined();
  });

  it('counts on through a restart, and from the restart for a client that never left', async () => {
    const rig = await start();
    const { holder } = await begin(rig.sessions, 'left', { keepMs: 1_000 });
    await holder.session.leave();
    await begin(rig.sessions, 'killed', { keepMs: 1_000 });
    const drained = await begin(rig.sessions, 'drained', { keepMs: 1_000 });
    await drained.holder.session.leave({ isDrain: true });
    await rig.clock.pass(900);
    const next = await afterCrash(rig);
    await next.clock.pass(300);
    expect((await listed(next.sessions)).map(({ key }) => key)).toEqual(['drained', 'killed']);
    await next.clock.pass(1_000);
    expect(await listed(next.sessions)).toEqual([]);
  });

  it('asks its protocol, wakes it before, and tries again what fails', async () => {
    const told: string[] = [];
    let failures = 1;
    const kind: Partial<DurableKind<TestState, number>> = {
      due: async ({ key, found, isExpired, keep, remove }) => {
        told.push(`${key} ${found.state.note} ${isExpired}`);
        if (isExpired) {
          failures -= 1;
          if (failures === 0) throw new Error('not now');
          await remove();
        } else {
          await keep({ state: { note: 'woken' }, rights: undefined });
        }
      },
    };
    const { clock, sessions } = await start({ kind });
    const { holder } = await begin(sessions, 'k', { keepMs: 2_000 });
    holder.note = 'first';
    await holder.session.leave({ wakeMs: 500 });
    await clock.pass(1_000);
    expect(told).toEqual(['k first false']);
    await clock.pass(20_000);
    expect(told).toEqual(['k first false', 'k woken true', 'k woken true']);
    expect([sessions.stored, await listed(sessions)]).toEqual([0, []]);
  });

  it('are asked about only when what their last holder wrote is there', async () => {
    const told: string[] = [];
    const { clock, sessions, store } = await start({
      kind: {
        due: async ({ found, remove }) => {
          told.push(found.state.note);
          await remove();
        },
      },
    });
    const { holder } = await begin(sessions, 'k', { keepMs: 500 });
    holder.note = 'last';
    const slow = Promise.withResolvers<undefined>();
    const left = holder.session.leave({}, async ({ records, fences }) => {
      await slow.promise;
      await store.write(records, { fences });
    });
    await clock.pass(2_000);
    expect(told).toEqual([]);
    slow.resolve(undefined);
    await left;
    await clock.pass(2_000);
    expect([told, sessions.stored]).toEqual([['last'], 0]);
  });
});

describe('with other nodes on the same store', () => {
  const both = ['n1', 'n2'];
  const due = { due: async ({ remove }: { readonly remove: () => Promise<void> }) => remove() };

  it('a start overwrites no row that another node writes meanwhile', async () => {
    const rig = await start();
    const { holder } = await begin(rig.sessions, 'k');
    holder.note = 'before';
    await holder.session.save();
    const { store, clock } = rig;
    const release = store.hold();
    const starting = start({ store, clock, name: 'n2', living: ['n2', 'n3'] });
    await settle();
    const other = new TestNode(store, clock, 'n3', ['n3', 'n2']);
    const sessions = new DurableSessions(makeKind(), other.services);
    const [row] = await listed(rig.sessions);
    const changed = { ...row!.row, node: 'n3', state: { note: 'after' } };
    store.rows.apply([sessions.rows.rowWrite('k', changed, 'token of n3')]);
    release();
    const { sessions: started } = await starting;
    expect((await listed(started))[0]!.row).toMatchObject({ node: 'n3', state: { note: 'after' } });
    expect(started.stored).toBe(1);
  });

  it.each([
    ['with a protocol that is asked', due],
    ['without', {}],
  ])('one that another node has open ends after that node is gone, in a kind %s', async (_how, kind) => {
    const { store, clock, sessions } = await start({ kind, living: both });
    const { holder } = await begin(sessions, 'k', { keepMs: 1_000 });
    await holder.session.leave();
    const second = await start({ store, clock, kind, name: 'n2', living: both });
    const there = await begin(second.sessions, 'k', { keepMs: 1_000 });
    await clock.pass(20_000);
    expect(there.holder.session.isOpen).toBe(true);
    expect([(await listed(sessions)).length, sessions.stored]).toEqual([1, 1]);
    second.node.kill();
    store.endLeasesOf('n2');
    // It is away from when its node was found to be gone.
    await clock.pass(20_000);
    expect([(await listed(sessions)).length, sessions.stored, store.tokens.size]).toEqual([0, 0, 0]);
  });

  it('one that another node left is kept as long as its row says', async () => {
    const { store, clock, sessions } = await start({ kind: due, living: both });
    const { holder } = await begin(sessions, 'k', { keepMs: 10_000 });
    await holder.session.leave();
    await clock.pass(9_000);
    const second = await start({ store, clock, kind: due, name: 'n2', living: both });
    const there = await begin(second.sessions, 'k', { keepMs: 10_000 });
    await there.holder.session.leave();
    second.node.kill();
    await clock.pass(8_000);
    expect((await listed(sessions)).length).toBe(1);
    await clock.pass(3_000);
    expect((await listed(sessions)).length).toBe(0);
  });
});

describe('rows', () => {
  it.each([
    ['of a later format', '{"durable":2}', 'it has the format 2'],
    ['that are no JSON', 'x', 'it is no JSON'],
    ['that are null', 'null', 'it is no object'],
    ['of no known version', '{}', 'no version wrote such a row'],
    ['with a field of another type', '{"durable":1,"presence":"here","follows":[]}', 'a field is missing'],
    ['with another state', '{"durable":1,"presence":"away","sinceMs":0,"follows":[],"state":1}', 'its state'],
  ])('%s count as missing, and are logged', async (_what, text) => {
    const store = new TestStore();
    store.rows.apply([{ table, key: 'k', value: Buffer.from(text) }]);
    const { sessions, node } = await start({ store });
    expect([sessions.stored, sessions.rows.unreadable]).toEqual([0, 1]);
    expect(node.logged).toEqual(['error: a row of a durable session cannot be read']);
    expect(await store.rows.get(table, 'k')).toEqual(Buffer.from(text));
    expect((await begin(sessions, 'k')).found).toBeUndefined();
  });

  it('that cannot be read refuse, where the kind says so', async () => {
    const store = new TestStore();
    store.rows.apply([{ table, key: 'k', value: Buffer.from('{}') }]);
    const { sessions } = await start({ store, kind: { unreadable: 'refuse' } });
    await expect(begin(sessions, 'k')).rejects.toMatchObject({ code: 'internal' });
    expect(await store.rows.get(table, 'k')).toEqual(Buffer.from('{}'));
    expect(sessions.stored).toBe(0);
  });
});

describe('a kind that evicts', () => {
  const quota = { policy: 'evict', max: 6, perSubjectMax: 2 } as const;

  it('removes what is too old, then of the oldest of each subject, then of all, and of no open one', async () => {
    const { store, clock, sessions } = await start({ kind: { quota } });
    const rights = { isAdmin: false, claims: party('eve').claims };
    for (let at = 0; at < 9; at += 1) {
      const holder = new TestHolder();
      const { session } = await sessions.open(`${at}`, Object.assign(holder, { rights: () => rights }), {
        identity: party(at < 4 ? 'eve' : `other ${at}`),
        keepMs: 10_000,
      });
      holder.session = session;
      await session.save();
      if (at !== 1) await session.leave();
    }
    await sessions.sweep();
    expect((await listed(sessions)).map(({ key }) => key)).toEqual(['1', '4', '5', '6', '7', '8']);
    await clock.pass(10_001);
    expect(
      (await sessions.open('4', new TestHolder(), { identity: anonymous, keepMs: 1 })).found,
    ).toBeUndefined();
    await sessions.sweep();
    await clock.pass(50);
    // An open one was written anew.
    const [row, ...others] = await listed(sessions);
    expect([row!.key, row!.row.sinceMs, others.map(({ key }) => key)]).toEqual(['1', clock.nowMs(), ['4']]);
    expect(store.tokens.size).toBe(2);
  });

  it('removes no row that another node writes meanwhile', async () => {
    const { store, clock, sessions } = await start({ kind: { quota } });
    const { holder } = await begin(sessions, 'k', { keepMs: 1_000 });
    await holder.session.leave();
    await clock.pass(2_000);
    const release = store.hold();
    const sweeping = sessions.sweep();
    await settle();
    const [row] = await listed(sessions);
    store.rows.apply([sessions.rows.rowWrite('k', { ...row!.row, sinceMs: clock.nowMs() }, 'token of n2')]);
    release();
    await sweeping;
    expect((await listed(sessions)).map(({ key }) => key)).toEqual(['k']);
  });

  it('keeps nothing in memory of a client that is away', async () => {
    const rig = await start({ kind: { quota } });
    const { holder } = await begin(rig.sessions, 'k');
    holder.seq = 2;
    await holder.session.leave();
    const next = await afterCrash(rig, { kind: { quota } });
    expect(placeOf((await begin(next.sessions, 'k')).found).seq).toBe(2);
    expect(next.sessions.stored).toBe(0);
  });
});
