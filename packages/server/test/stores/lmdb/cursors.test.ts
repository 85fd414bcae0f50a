import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filterOf, StoreBench } from '../../../../../test/contract/store-bench.ts';
import { formatCursor } from '../../../../protocol/src/index.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { type Database, openLmdb } from '../../../src/stores/lmdb/database.ts';
import { createLmdbStore } from '../../../src/stores/lmdb/store.ts';

const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

let folder: string;
let bench: StoreBench;
/** Open ranges, neither read to their end nor released. */
let openRanges: number;

function* counted<T>(items: Iterable<T>): Generator<T, void, undefined> {
  openRanges += 1;
  try {
    yield* items;
  } finally {
    openRanges -= 1;
  }
}

function counting(options: Parameters<typeof openLmdb>[0]): Database {
  const database = openLmdb(options);
  return {
    get: (table, key) => database.get(table, key),
    range: (table, range) => counted(database.range(table, range)),
    keys: (table, range) => counted(database.keys(table, range)),
    count: (table) => database.count(table),
    freeBytes: () => database.freeBytes(),
    fileBytes: () => database.fileBytes(),
    reusableBytes: () => database.reusableBytes(),
    close: () => database.close(),
    commit: (writes) => database.commit(writes),
  };
}

beforeEach(async () => {
  openRanges = 0;
  folder = mkdtempSync(join(tmpdir(), 'everywire-cursors-'));
  bench = new StoreBench(
    createLmdbStore({
      clock: systemClock,
      random: createSystemRandom(),
      limits: defaultLimits,
      log: silent,
      path: join(folder, 'data'),
      openDatabase: counting,
      // So few that positions fall below the floor, where tags are looked for in the channels.
      seqsRememberedMax: 10,
    }),
  );
  await bench.store.open(bench);
});
afterEach(async () => {
  await bench.store.close();
  rmSync(folder, { recursive: true });
});

// An LMDB cursor in mid-range is an open read transaction: no page freed since then is used again, and the file grows.
describe('cursors of LMDB', () => {
  it('are released by every way to read, also where it stops early', async () => {
    const { store } = bench;
    for (let at = 0; at < 40; at += 1) await store.append([bench.entry(`w/${at % 5}`, String(at))]);
    const wild = filterOf('w/*');
    const origin = await store.locate(wild, { kind: 'earliest' });
    const few = { messagesMax: 3, bytesMax: 1_000_000 };
    const middle = await store.read(wild, origin, { messagesMax: 12, bytesMax: 1_000_000 });
    for (const filter of [wild, filterOf('w/1'), filterOf('**'), filterOf('none/*')]) {
      for (const position of [origin, middle.through, { ...middle.through, tag: 'f'.repeat(16) }]) {
        await store.read(filter, position, few);
        expect(openRanges, `reading ${filter.text} after ${formatCursor(position)}`).toBe(0);
      }
      for (const start of [
        { kind: 'earliest' },
        { kind: 'last', count: 2 },
        { kind: 'time', timeMs: Date.now() - 1 },
      ] as const) {
        await store.locate(filter, start);
        expect(openRanges, `locating ${start.kind} in ${filter.text}`).toBe(0);
      }
      await store.channels(filter, undefined, 2);
      await store.retained(filter, 0, { messagesMax: 1, bytesMax: 1 });
    }
    await store.drop('w/3');
    await store.sweep(Date.now(), () => ({ countMax: 2, ageMsMax: 1, bytesMax: 100 }));
    expect(openRanges).toBe(0);
  });
});
