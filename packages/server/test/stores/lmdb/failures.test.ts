import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EverywireError } from '../../../../protocol/src/index.ts';
import {
  filterOf,
  payloads,
  placed,
  positionOf,
  StoreBench,
} from '../../../../../test/contract/store-bench.ts';
import type { Clock } from '../../../src/core/clock.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { type Database, openLmdb, type Write } from '../../../src/stores/lmdb/database.ts';
import { createLmdbStore } from '../../../src/stores/lmdb/store.ts';
import { verifyStore } from '../../../src/stores/lmdb/verify.ts';

/** Longer than a busy machine takes, which the default of a second is not. */
const until = (isReached: () => boolean): Promise<unknown> =>
  vi.waitUntil(isReached, { timeout: 60_000, interval: 5 });

/** A fault that a test puts before, after or in place of the next commits. */
type Fault = (commit: () => Promise<void>) => Promise<void>;

let folder: string;
let bench: StoreBench;
let fault: Fault | undefined;
let commits: (readonly Write[])[];
let opened: number;
/** What was read of a file that had been closed, where lmdb may end the process. */
let readClosed: string[];
let freeBytes: number | undefined;
let fatal: unknown[];
let monotonicMs: number;
const timers: { readonly delayMs: number; run(): void }[] = [];
const logged: string[] = [];
const log = {
  debug: () => undefined,
  info: (_fields: object, text: string) => void logged.push(text),
  warn: (_fields: object, text: string) => void logged.push(text),
  error: (_fields: object, text: string) => void logged.push(text),
};
/** Time moves only when a test says so. */
const clock: Clock = {
  ...systemClock,
  monotonicMs: () => monotonicMs,
  after: (delayMs, run) => {
    const timer = { delayMs, run };
    timers.push(timer);
    return { cancel: () => void timers.splice(timers.indexOf(timer), 1) };
  },
};

function faulty(options: Parameters<typeof openLmdb>[0]): Database {
  const database = openLmdb(options);
  opened += 1;
  let isClosed = false;
  const read = (what: string): Database => {
    if (isClosed) readClosed.push(what);
    return database;
  };
  return {
    get: (table, key) => read(`get ${table}`).get(table, key),
    range: (table, range) => read(`range ${table}`).range(table, range),
    keys: (table, range) => read(`keys ${table}`).keys(table, range),
    count: (table) => read(`count ${table}`).count(table),
    freeBytes: () => freeBytes ?? database.freeBytes(),
    fileBytes: () => database.fileBytes(),
    reusableBytes: () => database.reusableBytes(),
    close: () => {
      isClosed = true;
      return database.close();
    },
    commit: (writes) => {
      commits.push(writes);
      return fault === undefined ? database.commit(writes) : fault(() => database.commit(writes));
    },
  };
}

function make() {
  return createLmdbStore({
    clock,
    random: createSystemRandom(),
    limits: defaultLimits,
    log,
    path: join(folder, 'data'),
    openDatabase: faulty,
    onFatal: (error) => fatal.push(error),
  });
}

/** Fires the timers of `delayMs`, as if that time had passed. */
function pass(delayMs: number): void {
  for (const timer of timers.filter((each) => each.delayMs === delayMs)) {
    timers.splice(timers.indexOf(timer), 1);
    timer.run();
  }
}

const failing =
  (code: number | string, message: string): Fault =>
  async () => {
    throw Object.assign(new Error(message), { code });
  };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-failures-'));
  fault = undefined;
  commits = [];
  opened = 0;
  readClosed = [];
  freeBytes = undefined;
  fatal = [];
  monotonicMs = 0;
  timers.length = 0;
  logged.length = 0;
  bench = new StoreBench(make());
  await bench.store.open(bench);
});
afterEach(async () => {
  fault = undefined;
  await bench.store.close();
  expect(readClosed).toEqual([]);
  rmSync(folder, { recursive: true });
});

describe('batch commit', () => {
  it('flushes once for all that arrived during the last flush', async () => {
    commits.length = 0;
    const first = bench.append('a', 'alone');
    await until(() => commits.length === 1);
    const rest = Array.from({ length: 50 }, (_, index) => bench.append(`c/${index % 7}`, 'x'));
    await Promise.all([first, ...rest]);
    expect(commits).toHaveLength(2);
    expect(commits[1]!.filter(({ table }) => table === 'segments')).toHaveLength(1);
    expect(commits[1]!.filter(({ table }) => table === 'blocks')).toHaveLength(7);
  });

  it('does not touch the disk for repeats', async () => {
    await bench.append('a', 'x', { key: 'k' });
    commits.length = 0;
    expect((await bench.append('a', 'x', { key: 'k' })).duplicate).toBe(true);
    expect(commits).toEqual([]);
  });

  it('splits commits of more than a megabyte', async () => {
    commits.length = 0;
    const payload = Buffer.alloc(400 * 1024);
    const first = bench.append('a', 'x');
    await until(() => commits.length === 1);
    await Promise.all([first, ...Array.from({ length: 5 }, () => bench.append('a', '', { payload }))]);
    expect(commits).toHaveLength(4);
  });

  it('shows no message that is not durable yet', async () => {
    await bench.append('a', 'shown');
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let isWritten = false;
    fault = async (commit) => {
      await commit();
      isWritten = true;
      await held;
    };
    const appended = bench.append('a', 'not yet', { retain: true });
    await until(() => isWritten);
    const page = await bench.read('a', await bench.earliest('a'));
    expect(payloads(page.messages)).toEqual(['shown']);
    expect(page.atHead).toBe(true);
    expect(await bench.retained('**', 10)).toEqual([]);
    expect(payloads(bench.fed)).toEqual(['shown']);
    release();
    await appended;
    expect(payloads((await bench.read('a', page.through)).messages)).toEqual(['not yet']);
  });

  it('deletes trimmed blocks only behind the commit that trimmed them, so that no reader misses them', async () => {
    for (let index = 0; index < 6; index += 1) await bench.append('a', `${index}`, {}, { countMax: 2 });
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    let isWritten = false;
    fault = async (commit) => {
      await commit();
      isWritten = true;
      await held;
    };
    const appended = bench.append('a', '6', {}, { countMax: 2 });
    await until(() => isWritten);
    expect(payloads((await bench.read('a', await bench.earliest('a'))).messages)).toEqual(['4', '5']);
    release();
    await appended;
    expect(payloads((await bench.read('a', await bench.earliest('a'))).messages)).toEqual(['5', '6']);
  });
});

describe('a failed flush', () => {
  it('is final: everything pending is refused, nothing is accepted, reading continues', async () => {
    const kept = await bench.append('a', 'kept');
    fault = failing(5, 'EIO: input/output error');
    const pending = [
      bench.append('a', '1'),
      bench.append('b', '2'),
      bench.store.records.write([{ table: 't', key: 'k', value: Buffer.alloc(1) }]),
    ];
    for (const each of pending) await expect(each).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(bench.store.health()).toMatchObject({
      ok: false,
      detail: expect.stringContaining('EIO') as unknown,
    });
    await expect(bench.append('a', '3')).rejects.toMatchObject({ code: 'store_unavailable' });
    expect((await bench.read('a', await bench.earliest('a'))).messages.map(({ seq }) => seq)).toEqual([
      kept.seq,
    ]);
    expect(bench.fed).toHaveLength(1);
  });

  it('heals by opening again under a new epoch, and tells the feed to read again', async () => {
    const before = await bench.append('a', 'before');
    fault = failing(5, 'EIO');
    await expect(bench.append('a', 'lost')).rejects.toMatchObject({ code: 'store_unavailable' });
    fault = undefined;
    pass(100);
    await until(() => bench.store.health().ok);
    expect(opened).toBe(2);
    expect(bench.interruptions).toBe(1);
    const after = await bench.append('a', 'after');
    expect(after).toMatchObject({ offset: 2, seq: before.seq + 1 });
    expect(after.epoch).not.toBe(before.epoch);
    expect(payloads((await bench.read('a', positionOf(before))).messages)).toEqual(['after']);
    expect((await bench.read('a', positionOf(before))).gaps).toEqual([]);
  });

  it('keeps trying to open again, ever more slowly', async () => {
    fault = failing(5, 'EIO');
    await expect(bench.append('a', 'x')).rejects.toMatchObject({ code: 'store_unavailable' });
    for (const delayMs of [100, 200, 400]) {
      await until(() => timers.some((timer) => timer.delayMs === delayMs));
      expect(bench.store.health().ok).toBe(false);
      pass(delayMs);
    }
    await until(() => timers.some((timer) => timer.delayMs === 800));
    fault = undefined;
    pass(800);
    await until(() => bench.store.health().ok);
    expect((await bench.append('a', 'x')).offset).toBe(1);
  });

  it('whose write had reached the file after all is announced as news, not lost', async () => {
    fault = async (commit) => {
      await commit();
      throw Object.assign(new Error('EIO'), { code: 5 });
    };
    const head = await bench.head();
    await expect(bench.append('a', 'in doubt')).rejects.toMatchObject({ code: 'store_unavailable' });
    fault = undefined;
    pass(100);
    await until(() => bench.store.health().ok);
    expect(bench.interruptions).toBe(1);
    expect(payloads((await bench.read('a', head)).messages)).toEqual(['in doubt']);
  });

  it('that damaged the memory of the process asks for a new one, and is not opened again', async () => {
    const where = 'Attempting to write page at position 16384, size 4096, blocks 1, buffer sizes 4096';
    fault = failing(5, `Input/output error: ${where} 1585375520 158537486`);
    await expect(bench.append('a', 'x')).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(fatal).toEqual([]);
    fault = undefined;
    pass(100);
    await until(() => bench.store.health().ok);
    fault = failing(5, `Input/output error: ${where} 1585375520 1585374864`);
    await expect(bench.append('a', 'x')).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(fatal).toHaveLength(1);
    expect(bench.store.health()).toMatchObject({
      ok: false,
      detail: expect.stringContaining('Restart') as unknown,
    });
    expect(timers).toEqual([]);
  });

  it('includes one that does not come back within five seconds', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    fault = () => held;
    const appended = bench.append('a', 'x');
    const refused = expect(appended).rejects.toMatchObject({ code: 'store_unavailable' });
    await until(() => timers.some(({ delayMs }) => delayMs === 5_000));
    pass(5_000);
    await refused;
    expect(bench.store.health().ok).toBe(false);
    fault = undefined;
    release();
    pass(100);
    await until(() => bench.store.health().ok);
  });
});

describe('a full disk', () => {
  it.each([
    [28, 'ENOSPC'],
    [-30792, 'MDB_MAP_FULL'],
  ])('(%s) refuses publishes, lets everything else continue, and heals by itself', async (code, message) => {
    const kept = await bench.append('a', 'kept');
    fault = failing(code, message);
    const [refused] = await bench.store.append([bench.entry('a', 'refused')]);
    expect(refused).toBeInstanceOf(EverywireError);
    expect(refused).toMatchObject({ code: 'store_full' });
    fault = undefined;
    // For a moment it is not even tried.
    expect((await bench.store.append([bench.entry('a', 'refused')]))[0]).toMatchObject({
      code: 'store_full',
    });
    await expect(
      bench.store.records.write([{ table: 't', key: 'k', value: Buffer.alloc(1) }]),
    ).rejects.toMatchObject({ code: 'store_full' });
    expect(bench.store.health()).toMatchObject({
      ok: true,
      detail: expect.stringContaining('no space') as unknown,
    });
    expect((await bench.read('a', await bench.earliest('a'))).messages).toHaveLength(1);
    monotonicMs += 1_000;
    const next = placed((await bench.store.append([bench.entry('a', 'accepted')]))[0]);
    expect(next).toMatchObject({ offset: 2, epoch: kept.epoch });
    expect(bench.store.health()).toEqual({ ok: true });
    expect(opened).toBe(1);
    expect(payloads((await bench.readAll('a', await bench.earliest('a'))).messages)).toEqual([
      'kept',
      'accepted',
    ]);
    expect(bench.fed).toHaveLength(2);
  });

  it('is noticed before it is written to, and leaves room for deleting', async () => {
    await bench.append('a', 'kept');
    commits.length = 0;
    freeBytes = 200_000;
    expect((await bench.store.append([bench.entry('a', 'refused')]))[0]).toMatchObject({
      code: 'store_full',
    });
    expect(commits).toEqual([]);
    expect(await bench.store.drop('a')).toBe(true);
    freeBytes = undefined;
    monotonicMs += 1_000;
    expect((await bench.append('a', 'accepted')).offset).toBe(1);
  });

  it('that was noticed only after the write had reached the file is a failure, not a refusal', async () => {
    fault = async (commit) => {
      await commit();
      throw Object.assign(new Error('ENOSPC'), { code: 28 });
    };
    await expect(bench.store.append([bench.entry('a', 'in doubt')])).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    expect(bench.store.health().ok).toBe(false);
  });
});

describe('damage', () => {
  /** Flips a bit of a stored block, by way of a second look at the file. */
  async function damage(channel: string, index: number, at: number): Promise<void> {
    await bench.store.close();
    const database = openLmdb({ path: join(folder, 'data') });
    const no = [...database.range('numbers', {})].find(({ value }) => value.toString() === channel)!.key;
    const blocks = [...database.range('blocks', {})].filter(({ key }) => key.subarray(0, 4).equals(no));
    const { key, value } = blocks[index]!;
    value[at]! ^= 0x10;
    await database.commit([{ table: 'blocks', key, value }]);
    await database.close();
    bench = new StoreBench(make());
    await bench.store.open(bench);
  }

  it.each([
    ['payload', 80],
    ['length', 1],
    ['checksum', 5],
    ['seq', 9],
    ['offset', 14],
  ])('of a record (%s) is a gap for its channel, and no other notices', async (_what, at) => {
    for (let index = 1; index <= 5; index += 1) {
      await bench.append('a', `payload number ${index} of a`);
      await bench.append('b', `payload number ${index} of b`);
    }
    const start = await bench.earliest('a');
    await damage('a', 2, at);
    const page = await bench.read('a', start);
    expect(page.messages.map(({ offset }) => offset)).toEqual([1, 2, 4, 5]);
    expect(page.gaps).toMatchObject([{ channel: 'a', from: 3, to: 3, reason: 'damaged' }]);
    const wildcard = await bench.read('*', await bench.earliest('*'));
    expect(wildcard.messages).toHaveLength(9);
    expect(wildcard.gaps).toMatchObject([{ channel: 'a', from: 3, to: 3, reason: 'damaged' }]);
    expect(await bench.read('b', start)).toMatchObject({ gaps: [], messages: { length: 5 } });
    expect((await bench.append('a', 'next')).offset).toBe(6);
    expect(logged.some((text) => text.includes('checksum'))).toBe(true);
    const report = await verifyStore(join(folder, 'data'));
    expect(report.problems.some((problem) => problem.includes('Channel a'))).toBe(true);
  });

  it('at the beginning, at the end, and of everything', async () => {
    await bench.fill('a', 1);
    await bench.fill('a', 1);
    await bench.fill('a', 1);
    const start = await bench.earliest('a');
    await damage('a', 0, 60);
    expect(await bench.read('a', start)).toMatchObject({
      messages: { length: 2 },
      gaps: [{ from: 1, to: 1 }],
    });
    await damage('a', 2, 60);
    expect(await bench.read('a', start)).toMatchObject({
      messages: { length: 1 },
      gaps: [
        { from: 1, to: 1 },
        { from: 3, to: 3 },
      ],
    });
    await damage('a', 1, 60);
    const page = await bench.read('a', start);
    expect(page.messages).toEqual([]);
    expect(page.gaps).toMatchObject([{ from: 1, to: 3, reason: 'damaged' }]);
    expect((await bench.read('a', page.through)).gaps).toEqual([]);
  });

  it('does not stop retention', async () => {
    for (let index = 0; index < 4; index += 1) await bench.append('a', `payload ${index}`);
    await damage('a', 1, 60);
    for (let index = 4; index < 8; index += 1)
      await bench.append('a', `payload ${index}`, {}, { countMax: 3 });
    expect(await bench.store.channels(filterOf('a'), undefined, 1)).toMatchObject([
      { offset: 8, firstOffset: 6 },
    ]);
    expect(await bench.read('a', await bench.earliest('a'))).toMatchObject({
      gaps: [],
      messages: { length: 3 },
    });
  });
});

describe('verifyStore', () => {
  it('finds nothing wrong with a store that is whole, also while it is open', async () => {
    await bench.fill('a', 20, { countMax: 7 });
    await bench.append('b', 'x', { retain: true, key: 'k' });
    await bench.append('c', 'x');
    await bench.store.drop('c');
    await bench.store.records.write([{ table: 't', key: 'k', value: Buffer.alloc(10) }]);
    expect(await verifyStore(join(folder, 'data'))).toEqual({ channels: 2, messages: 8, problems: [] });
  });

  it('says that there is no store', async () => {
    await expect(verifyStore(join(folder, 'nothing'))).rejects.toThrow('no store');
  });
});

it('a second store on the folder is refused, and the first continues', async () => {
  const second = make();
  await expect(second.open(bench)).rejects.toThrow(`process ${process.pid}`);
  expect((await bench.append('a', 'x')).offset).toBe(1);
});

describe('closing', () => {
  const keepNothing = () => ({ countMax: 1_000, ageMsMax: 0, bytesMax: 1e9 });

  /** Closes the store while the first commit of `work` is being flushed. */
  async function closeDuring(work: () => Promise<unknown>): Promise<void> {
    const { promise: held, resolve: release } = Promise.withResolvers<undefined>();
    fault = async (commit) => {
      await commit();
      await held;
    };
    commits.length = 0;
    const done = work();
    await until(() => commits.length === 1);
    const closed = bench.store.close();
    release(undefined);
    await closed;
    await expect(done).rejects.toMatchObject({ code: 'store_unavailable' });
  }

  it('ends a sweep before it looks at the file again', async () => {
    await Promise.all(Array.from({ length: 200 }, (_, at) => bench.append(`c/${at}`, 'x')));
    await closeDuring(() => bench.store.sweep(1e12, keepNothing));
  });

  it('ends the purge of a deleted channel and of retained messages', async () => {
    await Promise.all(
      Array.from({ length: 200 }, (_, at) => bench.append(`c/${at}`, 'x', { retain: true, expiresAtMs: 1 })),
    );
    for (let at = 0; at < 50; at += 1) await bench.store.drop(`c/${at}`);
    await closeDuring(() => bench.store.sweep(1e12, keepNothing));
  });

  it('a reopening after a failure ends a sweep that started on the failed file', async () => {
    await Promise.all(Array.from({ length: 200 }, (_, at) => bench.append(`c/${at}`, 'x')));
    let isFirst = true;
    fault = async (commit) => {
      if (!isFirst) throw Object.assign(new Error('EIO: input/output error'), { code: 5 });
      isFirst = false;
      await commit();
      void bench.append('a', 'x').catch(() => undefined);
    };
    const swept = expect(bench.store.sweep(1e12, keepNothing)).rejects.toMatchObject({
      code: 'store_unavailable',
    });
    await until(() => !bench.store.health().ok);
    pass(100);
    fault = undefined;
    await swept;
    await until(() => opened === 2 && bench.store.health().ok);
    await bench.store.sweep(1e12, keepNothing);
  });

  it('waits for appends that a publisher makes after the last commit, or refuses them', async () => {
    const results: string[] = [];
    const publisher = (async () => {
      for (let at = 0; at < 20; at += 1) {
        await bench.append('a', `${at}`).then(
          () => results.push('stored'),
          (caught: unknown) => results.push((caught as EverywireError).code),
        );
      }
    })();
    await bench.store.close();
    await publisher;
    expect(new Set(results).size).toBeLessThanOrEqual(2);
    expect(results.at(-1)).toBe('store_unavailable');
    expect(logged).toEqual([]);
  });
});
