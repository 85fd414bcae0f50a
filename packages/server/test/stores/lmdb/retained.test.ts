import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { filterOf, StoreBench } from '../../../../../test/contract/store-bench.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { Message } from '../../../src/core/log/message.ts';
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
const count = 300;

let folder: string;
let bench: StoreBench;
/** Rows of retained messages that were read from the file. */
let rowsRead: number;

function counting(options: Parameters<typeof openLmdb>[0]): Database {
  const database = openLmdb(options);
  return {
    get: (table, key) => {
      if (table === 'retained') rowsRead += 1;
      return database.get(table, key);
    },
    *range(table, range) {
      for (const row of database.range(table, range)) {
        if (table === 'retained') rowsRead += 1;
        yield row;
      }
    },
    keys: (table, range) => database.keys(table, range),
    count: (table) => database.count(table),
    freeBytes: () => database.freeBytes(),
    fileBytes: () => database.fileBytes(),
    reusableBytes: () => database.reusableBytes(),
    close: () => database.close(),
    commit: (writes) => database.commit(writes),
  };
}

function open(): Promise<void> {
  bench = new StoreBench(
    createLmdbStore({
      clock: systemClock,
      random: createSystemRandom(),
      limits: defaultLimits,
      log: silent,
      path: join(folder, 'data'),
      openDatabase: counting,
    }),
  );
  return bench.store.open(bench);
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'everywire-retained-'));
  await open();
});
afterEach(async () => {
  await bench.store.close();
  rmSync(folder, { recursive: true });
});

async function readAll(): Promise<readonly Message[]> {
  const seen: Message[] = [];
  for (let afterSeq = 0, atEnd = false; !atEnd; afterSeq = seen.at(-1)!.seq) {
    const limit = { messagesMax: 1_000, bytesMax: 64 * 1024 };
    const page = await bench.store.retained(filterOf('r/*'), afterSeq, limit);
    seen.push(...page.messages);
    ({ atEnd } = page);
  }
  return seen;
}

it('a reader of all of them, page by page, reads each row once, and a sweep reads those that have expired', async () => {
  const nowMs = Date.now();
  const payload = 'x'.repeat(10_000);
  for (let at = 0; at < count; at += 1) {
    const expiresAtMs = at % 30 === 0 ? nowMs + 1_000 : undefined;
    await bench.append(`r/${at}`, payload, { retain: true, expiresAtMs });
  }
  await bench.store.close();
  await open();
  rowsRead = 0;
  const retention = { countMax: 100, ageMsMax: 1e15, bytesMax: 1e12 };
  // The first reader of an opening makes the index; each page looks one row too far.
  expect(await readAll()).toHaveLength(count);
  expect(rowsRead).toBeLessThan(2.5 * count);

  rowsRead = 0;
  expect(await readAll()).toHaveLength(count);
  expect(rowsRead).toBeLessThan(1.5 * count);

  rowsRead = 0;
  for (let time = 0; time < 10; time += 1) await bench.store.sweep(nowMs, () => retention);
  expect(rowsRead).toBe(0);
  await bench.store.sweep(nowMs + 2_000, () => retention);
  expect(rowsRead).toBe(count / 30);
  expect(await readAll()).toHaveLength(count - count / 30);
});
