import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { StaleWrite } from '../../packages/server/src/core/cluster/stale-write.ts';
import type { Guard, RecordWrite, Store } from '../../packages/server/src/core/seams/store.ts';
import { filterOf, placed, type StoreBench } from './store-bench.ts';

/** What a part of the contract is given: the store of the running test, and how a test is declared. */
export interface ContractPart {
  readonly duty: (title: string, run: () => Promise<void>) => void;
  readonly bench: () => StoreBench;
}

export const row = (key: string, text: string | undefined): RecordWrite => ({
  table: 't',
  key,
  value: text === undefined ? undefined : Buffer.from(text),
});

export const guard = (key: string, text: string | undefined): Guard => {
  const { table, value } = row(key, text);
  return { table, key, expected: value };
};

export async function textOf(store: Store, key: string): Promise<string | undefined> {
  return (await store.records.get('t', key))?.toString();
}

/** `stored`, or `stale` for a write that was refused as such. Any other failure is one of the test. */
export async function outcome(write: Promise<unknown>): Promise<'stored' | 'stale'> {
  try {
    await write;
    return 'stored';
  } catch (caught) {
    if (caught instanceof StaleWrite) return 'stale';
    throw caught;
  }
}

/** Guards: writes that are refused when a row is not what their writer believes. */
export function guardContract({ duty, bench }: ContractPart, modelRuns: number): void {
  describe('guards', () => {
    duty('let a write through when every row is as expected, and else nothing of it', async () => {
      const { store } = bench();
      const { records } = store;
      await records.write([row('a', '1')], { guards: [guard('a', undefined)] });
      expect(await textOf(store, 'a')).toBe('1');
      for (const wrong of [guard('a', undefined), guard('a', '2'), guard('a', ''), guard('b', '1')]) {
        const guards = [guard('a', '1'), wrong];
        expect(await outcome(records.write([row('a', 'x'), row('c', 'x')], { guards }))).toBe('stale');
      }
      expect(await textOf(store, 'a')).toBe('1');
      expect(await textOf(store, 'c')).toBeUndefined();
      await records.write([row('a', undefined)], { guards: [guard('a', '1'), guard('c', undefined)] });
      expect(await textOf(store, 'a')).toBeUndefined();
    });

    duty('tell an empty row from one that is not there', async () => {
      const { store } = bench();
      await store.records.write([row('a', '')]);
      expect(await outcome(store.records.write([], { guards: [guard('a', undefined)] }))).toBe('stale');
      expect(await outcome(store.records.write([], { guards: [guard('a', '')] }))).toBe('stored');
      expect(await outcome(store.records.write([], { guards: [guard('b', '')] }))).toBe('stale');
    });

    duty('are shown to clients as a conflict', async () => {
      const write = bench().store.records.write([], { guards: [guard('a', 'x')] });
      await expect(write).rejects.toMatchObject({ code: 'conflict' });
    });

    duty('let exactly one of several change a row that all of them read', async () => {
      const { store } = bench();
      await store.records.write([row('a', '0')]);
      const writes = Array.from({ length: 20 }, (_, index) =>
        outcome(store.records.write([row('a', `w${index}`)], { guards: [guard('a', '0')] })),
      );
      // With a publish among them: both kinds of write are in one order.
      const publishes = Array.from({ length: 20 }, (_, index) =>
        outcome(
          store.append([bench().entry('c', `${index}`)], {
            records: [row('a', `p${index}`)],
            guards: [guard('a', '0')],
          }),
        ),
      );
      const outcomes = await Promise.all([...writes, ...publishes]);
      expect(outcomes.filter((each) => each === 'stored')).toHaveLength(1);
    });

    duty('see earlier writes that are still in progress', async () => {
      const { store } = bench();
      const outcomes = await Promise.all([
        outcome(store.records.write([row('a', '1')])),
        outcome(store.records.write([row('a', '2')], { guards: [guard('a', '1')] })),
        outcome(store.records.write([row('a', undefined)], { guards: [guard('a', '2')] })),
        outcome(store.records.write([row('a', '3')], { guards: [guard('a', '1')] })),
        outcome(store.records.write([row('b', '4')], { guards: [guard('a', undefined)] })),
      ]);
      expect(outcomes).toEqual(['stored', 'stored', 'stored', 'stale', 'stored']);
      expect(await textOf(store, 'a')).toBeUndefined();
      expect(await textOf(store, 'b')).toBe('4');
    });

    duty('refuse an append as a whole', async () => {
      const { store } = bench();
      const entries = () => [bench().entry('c', 'x'), bench().entry('d', 'y')];
      for (const atomic of [false, true]) {
        const options = { atomic, records: [row('a', '1')], guards: [guard('b', 'x')] };
        expect(await outcome(store.append(entries(), options))).toBe('stale');
        expect(await outcome(store.append([], options))).toBe('stale');
      }
      expect(await store.channels(filterOf('**'), undefined, 10)).toEqual([]);
      expect(await textOf(store, 'a')).toBeUndefined();
      expect(bench().fed).toEqual([]);
      const stored = await store.append(entries(), {
        records: [row('a', '1')],
        guards: [guard('a', undefined)],
      });
      expect(stored.map((result) => placed(result).offset)).toEqual([1, 1]);
      expect(await textOf(store, 'a')).toBe('1');
    });

    duty('do not refuse the repeat of an append that was stored', async () => {
      const { store } = bench();
      const entry = bench().entry('c', 'x', { key: 'k' });
      const options = { records: [row('a', '2')], guards: [guard('a', '1')] };
      await store.records.write([row('a', '1')]);
      const [first] = await store.append([entry], options);
      expect(await textOf(store, 'a')).toBe('2');
      await store.records.write([row('a', '3')]);
      // Once more, and twice at once: the first place, and nothing written.
      const repeats = await Promise.all([store.append([entry], options), store.append([entry], options)]);
      for (const [repeat] of repeats) expect(repeat).toEqual({ ...placed(first), duplicate: true });
      expect(await textOf(store, 'a')).toBe('3');
      // Where the guard holds, the records are written with a repeat as without guards.
      await store.append([entry], { records: [row('a', '4')], guards: [guard('a', '3')] });
      expect(await textOf(store, 'a')).toBe('4');
      expect(bench().fed).toHaveLength(1);
    });

    duty('refuse an append that only partly is a repeat, or that has other content', async () => {
      const { store } = bench();
      const entry = bench().entry('c', 'x', { key: 'k' });
      await store.append([entry]);
      const guards = [guard('a', '1')];
      const news = bench().entry('c', 'new');
      expect(await outcome(store.append([entry, news], { guards }))).toBe('stale');
      expect(await outcome(store.append([bench().entry('c', 'y', { key: 'k' })], { guards }))).toBe('stale');
      await store.drop('c');
      expect(await outcome(store.append([entry], { guards }))).toBe('stale');
      expect(bench().fed).toHaveLength(1);
    });

    duty('two repeats that race with each other store once', async () => {
      const { store } = bench();
      const entry = bench().entry('c', 'x', { key: 'k' });
      const options = { records: [row('a', '1')], guards: [guard('a', undefined)] };
      const both = await Promise.all([store.append([entry], options), store.append([entry], options)]);
      expect(both.map(([result]) => placed(result).duplicate).sort()).toEqual([false, true]);
      expect(await textOf(store, 'a')).toBe('1');
    });

    duty('agree with a model in every order of writes', async () => {
      await checkConditions(bench, modelRuns);
    });
  });
}

const key = fc.constantFrom('a', 'b');
const text = fc.constantFrom(undefined, '', '1', '2');
const step = fc.record({
  writes: fc.array(fc.tuple(key, text), { maxLength: 3 }),
  guards: fc.array(fc.tuple(key, text), { maxLength: 2 }),
  /** With a message; its publish id may be one that was used before. */
  publishId: fc.option(fc.constantFrom('k1', 'k2', 'k3', 'k4')),
});

/**
 * Random conditional writes, in runs that are on their way together, compared with a map. Each call is judged as if it
 * had been alone, in the order of the calls.
 */
async function checkConditions(bench: () => StoreBench, numRuns: number): Promise<void> {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 6 }), async (bursts) => {
      run += 1;
      const { store } = bench();
      const channel = `model/${run}`;
      const rows = new Map<string, string>();
      const ids = new Set<string>();
      await store.records.write([row('a', undefined), row('b', undefined)]);
      for (const burst of bursts) {
        const outcomes = burst.map(({ writes, guards, publishId }) => {
          const records = writes.map(([name, value]) => row(name, value));
          const conditions = { guards: guards.map(([name, value]) => guard(name, value)) };
          return outcome(
            publishId === null
              ? store.records.write(records, conditions)
              : store.append([bench().entry(channel, 'same', { key: publishId })], {
                  records,
                  ...conditions,
                }),
          );
        });
        const expected = burst.map(({ writes, guards, publishId }) => {
          const isRepeat = publishId !== null && ids.has(publishId);
          if (guards.some(([name, value]) => rows.get(name) !== value)) return isRepeat ? 'stored' : 'stale';
          if (publishId !== null) ids.add(publishId);
          for (const [name, value] of writes) {
            if (value === undefined) rows.delete(name);
            else rows.set(name, value);
          }
          return 'stored';
        });
        expect(await Promise.all(outcomes)).toEqual(expected);
        for (const name of ['a', 'b']) expect(await textOf(store, name)).toBe(rows.get(name));
      }
    }),
    { numRuns },
  );
}
