import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EverywireError, noTag, type Filter } from '../../packages/protocol/src/index.ts';
import type { Clock, Random } from '../../packages/server/src/core/clock.ts';
import { defaultLimits, type AllLimits } from '../../packages/server/src/config/limits.ts';
import { Message } from '../../packages/server/src/core/log/message.ts';
import type { Appended, PageLimit, Store } from '../../packages/server/src/core/seams/store.ts';
import { systemClock } from '../../packages/server/src/runtime/clock.ts';
import { createSystemRandom } from '../../packages/server/src/runtime/random.ts';
import { guardContract } from './store-conditions.ts';
import { leaseContract } from './store-leases.ts';
import { secondOpenerContract } from './store-second-opener.ts';
import { checkAgainstModel } from './store-model.ts';
import { filterOf, payloads, placed, positionOf, StoreBench } from './store-bench.ts';

export interface StoreContractOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: AllLimits;
}

/** A store implementation under test, in its own folder or address. */
export interface StoreOnTrial {
  /** A store on that place; for durable ones, on what an earlier one left there. */
  make(): Store;
  /** One more node on the store that `make` made. */
  readonly makeAnother?: () => Store;
  /** Keeps a copy of the data of a store that is closed, and puts it back. Only durable ones. */
  readonly copies?: { take(): void; putBack(): void };
  remove(): void;
}

export interface StoreContract {
  readonly name: string;
  readonly place: (options: StoreContractOptions) => StoreOnTrial;
  /** Why there can be no second opener of one store; absent: there can, by `makeAnother`. */
  readonly isAloneBecause?: string;
  /** Random histories that are compared with the model. */
  readonly modelRuns: number;
  readonly skip?: readonly { readonly reason: string; readonly tests: readonly string[] }[];
}

/** What every store owes to the core (core/seams/store.ts), and what cursors mean on every wire. */
export function storeContract({ name, place, skip = [], modelRuns, isAloneBecause }: StoreContract): void {
  const reasons = new Map(skip.flatMap(({ reason, tests }) => tests.map((test) => [test, reason] as const)));
  const given = new Set<string>();
  const duty = (title: string, run: () => Promise<void>): void => {
    given.add(title);
    const reason = reasons.get(title);
    if (reason === undefined) it(title, run);
    else it.skip(`${title} (${reason})`, run);
  };

  describe(`store contract: ${name}`, () => {
    let nowMs = 1_700_000_000_000;
    let trial: StoreOnTrial;
    let bench: StoreBench;
    const clock: Clock = { ...systemClock, nowMs: () => nowMs, monotonicMs: () => nowMs };

    const open = async (): Promise<void> => {
      bench = new StoreBench(trial.make());
      await bench.store.open(bench);
    };
    const reopen = async (): Promise<void> => {
      await bench.store.close();
      await open();
    };

    beforeEach(async () => {
      trial = place({
        clock,
        random: createSystemRandom(),
        limits: { ...defaultLimits, publishIdsMax: 100, channelsMax: 400, retainedMax: 30 },
      });
      await open();
    });
    afterEach(async () => {
      await bench.store.close();
      trial.remove();
    });

    describe('append', () => {
      duty('numbers a channel 1, 2, 3 and the whole store by seq', async () => {
        const a1 = await bench.append('a', 'one');
        const b1 = await bench.append('b', 'two');
        const a2 = await bench.append('a', 'three');
        expect([a1.offset, b1.offset, a2.offset]).toEqual([1, 1, 2]);
        expect(a1.seq).toBeLessThan(b1.seq);
        expect(b1.seq).toBeLessThan(a2.seq);
        expect(new Set([a1.tag, b1.tag, a2.tag]).size).toBe(3);
      });

      duty('gives back every field of a message', async () => {
        const draft = {
          event: 'joined',
          from: 'user-1',
          type: 'application/json; charset=utf-8',
          headers: new Map([
            ['lang', 'ko'],
            ['x', '한국어'],
          ]),
          retain: true,
          expiresAtMs: nowMs + 5_000,
          payload: Buffer.from([0, 255, 10, 13, 0]),
          native: Buffer.from([1, 0, 255, 13]),
        };
        const place = await bench.append('채널/a', '', draft);
        const [message] = (await bench.read('채널/a', await bench.earliest('채널/a'))).messages;
        expect(message).toBeInstanceOf(Message);
        expect(message).toMatchObject({
          channel: '채널/a',
          ...positionOf(place),
          offset: 1,
          id: place.id,
          timeMs: place.timeMs,
        });
        expect(message).toMatchObject({
          event: 'joined',
          from: 'user-1',
          type: draft.type,
          retain: true,
          expiresAtMs: draft.expiresAtMs,
        });
        expect([...message!.headers!]).toEqual([...draft.headers]);
        expect(message!.payload.equals(draft.payload)).toBe(true);
        expect(message!.native?.equals(draft.native)).toBe(true);
        const [retained] = await bench.retained('**', 1);
        expect(retained!.native?.equals(draft.native)).toBe(true);
        await bench.append('채널/a', 'plain');
        const { messages } = await bench.read('채널/a', message!.position);
        expect(messages[0]!.native).toBeUndefined();
      });

      duty('copies the properties of a message out of the buffer of a socket', async () => {
        const chunk = Buffer.alloc(64 * 1024, 1);
        await bench.append('a', 'x', { native: chunk.subarray(100, 120) });
        chunk.fill(2);
        const { messages } = await bench.read('a', await bench.earliest('a'));
        expect(messages[0]!.native!.every((byte) => byte === 1)).toBe(true);
      });

      duty('keeps payloads of 0 bytes and of 1 MiB', async () => {
        const big = Buffer.alloc(1024 * 1024, 7);
        await bench.append('a', '', { payload: Buffer.alloc(0) });
        await bench.append('a', '', { payload: big });
        const { messages } = await bench.read('a', await bench.earliest('a'));
        expect(messages.map(({ payload }) => payload.length)).toEqual([0, big.length]);
        expect(messages[1]!.payload.equals(big)).toBe(true);
      });

      duty('is not changed by later writes to the buffer of a socket', async () => {
        const chunk = Buffer.alloc(64 * 1024, 1);
        const payload = chunk.subarray(100, 164);
        await bench.append('a', '', { payload });
        chunk.fill(2);
        const { messages } = await bench.read('a', await bench.earliest('a'));
        expect(messages[0]!.payload.every((byte) => byte === 1)).toBe(true);
      });

      duty('feeds before it resolves, in seq order, the order in which it is read', async () => {
        const channels = ['a', 'b', 'c'];
        let told = 0;
        await Promise.all(
          Array.from({ length: 300 }, async (_, index) => {
            const place = await bench.append(channels[index % 3]!, `${index}`);
            expect(bench.fed.some(({ seq }) => seq === place.seq)).toBe(true);
            told += 1;
          }),
        );
        expect(told).toBe(300);
        const { messages } = await bench.readAll('*', await bench.earliest('*'), 37);
        expect(messages.map(({ seq }) => seq)).toEqual(bench.fed.map(({ seq }) => seq));
        expect(payloads(messages)).toEqual(payloads(bench.fed));
      });

      duty('makes messages readable before it feeds them', async () => {
        const lengths: Promise<number>[] = [];
        const heard = bench.appended.bind(bench);
        bench.appended = (channel, messages) => {
          heard(channel, messages);
          lengths.push(bench.read('a', { ...positionOf(messages[0]!) }).then((page) => page.gaps.length));
        };
        await bench.fill('a', 20);
        expect(await Promise.all(lengths)).toSatisfy((all: number[]) => all.every((gaps) => gaps === 0));
      });

      duty('stores several entries in the order given', async () => {
        const results = await bench.store.append([
          bench.entry('a', '1'),
          bench.entry('b', '2'),
          bench.entry('a', '3'),
        ]);
        const seqs = results.map((result) => placed(result).seq);
        expect(seqs).toEqual([...seqs].sort((x, y) => x - y));
        expect(placed(results[2]).offset).toBe(2);
      });

      duty('refuses calls before open and after close', async () => {
        const other = place({ clock, random: createSystemRandom(), limits: defaultLimits });
        const closed = other.make();
        await expect((async () => closed.append([bench.entry('a', 'x')]))()).rejects.toMatchObject({
          code: 'store_unavailable',
        });
        expect(closed.health().ok).toBe(false);
        other.remove();
      });
    });

    describe('publish ids', () => {
      duty('answer a repeat with the first place', async () => {
        const first = await bench.append('a', 'same', { key: 'k' });
        await bench.append('a', 'other');
        const repeat = await bench.append('a', 'same', { key: 'k', type: 'application/octet-stream' });
        expect(repeat).toEqual({ ...first, duplicate: true });
        expect((await bench.readAll('a', await bench.earliest('a'))).messages).toHaveLength(2);
        expect(bench.fed).toHaveLength(2);
      });

      duty('refuse other content', async () => {
        await bench.append('a', 'same', { key: 'k' });
        for (const other of [{ payload: Buffer.from('x') }, { event: 'e' }, { from: 'another' }]) {
          const [result] = await bench.store.append([bench.entry('a', 'same', { key: 'k', ...other })]);
          expect(result).toBeInstanceOf(EverywireError);
          expect(result).toMatchObject({ code: 'conflict' });
        }
        expect(bench.fed).toHaveLength(1);
      });

      duty('belong to one channel', async () => {
        await bench.append('a', '1', { key: 'k' });
        expect((await bench.append('b', '2', { key: 'k' })).duplicate).toBe(false);
      });

      duty('hold within one call and between calls that overlap', async () => {
        const [first, second] = await bench.store.append([
          bench.entry('a', 'x', { key: 'k' }),
          bench.entry('a', 'x', { key: 'k' }),
        ]);
        expect(placed(second)).toEqual({ ...placed(first), duplicate: true });
        const both = await Promise.all([
          bench.append('a', 'y', { key: 'l' }),
          bench.append('a', 'y', { key: 'l' }),
        ]);
        expect(both.map(({ duplicate }) => duplicate).sort()).toEqual([false, true]);
        expect(both[0].seq).toBe(both[1].seq);
      });

      duty('are answered after their message was trimmed', async () => {
        const first = await bench.append('a', 'x', { key: 'k' }, { countMax: 2 });
        await bench.fill('a', 5, { countMax: 2 });
        expect(await bench.append('a', 'x', { key: 'k' }, { countMax: 2 })).toEqual({
          ...first,
          duplicate: true,
        });
      });

      duty('are forgotten after their time', async () => {
        await bench.append('a', 'x', { key: 'k' });
        nowMs += defaultLimits.publishIdAgeMsMax + 1;
        await bench.store.sweep(nowMs, () => ({ countMax: 100, ageMsMax: 1e15, bytesMax: 1e12 }));
        expect((await bench.append('a', 'x', { key: 'k' })).duplicate).toBe(false);
      });

      duty('are kept at least as many as promised, and not without bound', async () => {
        for (let index = 0; index < 130; index += 1) await bench.append('a', 'x', { key: `k${index}` });
        expect((await bench.append('a', 'x', { key: 'k31' })).duplicate).toBe(true);
        expect((await bench.append('a', 'x', { key: 'k0' })).duplicate).toBe(false);
      });

      duty('end with their channel', async () => {
        await bench.append('a', 'x', { key: 'k' });
        await bench.store.drop('a');
        expect((await bench.append('a', 'y', { key: 'k' })).duplicate).toBe(false);
      });
    });

    describe('atomic', () => {
      duty('stores all or none', async () => {
        await bench.append('a', 'x', { key: 'k' });
        const refused = await bench.store.append(
          [bench.entry('b', '1'), bench.entry('a', 'other', { key: 'k' }), bench.entry('c', '2')],
          { atomic: true, records: [{ table: 't', key: 'r', value: Buffer.from('1') }] },
        );
        expect(
          refused.every((result) => result instanceof EverywireError && result.code === 'conflict'),
        ).toBe(true);
        expect(await bench.store.channels(filterOf('**'), undefined, 10)).toHaveLength(1);
        expect(await bench.store.records.get('t', 'r')).toBeUndefined();
        const stored = await bench.store.append([bench.entry('b', '1'), bench.entry('c', '2')], {
          atomic: true,
        });
        expect(stored.map((result) => placed(result).offset)).toEqual([1, 1]);
      });

      duty('sees a contradiction within itself', async () => {
        const results = await bench.store.append(
          [bench.entry('a', '1', { key: 'k' }), bench.entry('a', '2', { key: 'k' })],
          { atomic: true },
        );
        expect(results.every((result) => result instanceof EverywireError)).toBe(true);
        expect(bench.fed).toHaveLength(0);
      });
    });

    describe('reading', () => {
      duty('cuts a page by count and by bytes, and says so', async () => {
        await bench.fill('a', 10);
        const byCount = await bench.read('a', await bench.earliest('a'), 4);
        expect(byCount).toMatchObject({ atHead: false, gaps: [] });
        expect(byCount.messages).toHaveLength(4);
        expect(byCount.through).toEqual(byCount.messages[3]!.position);
        const byBytes = await bench.read('a', byCount.through, 100, 500);
        expect(byBytes.messages).toHaveLength(2);
        const one = await bench.read('a', byBytes.through, 100, 1);
        expect(one.messages).toHaveLength(1);
        const rest = await bench.read('a', one.through, 3);
        expect(rest).toMatchObject({ atHead: true, through: await bench.head() });
        expect(rest.messages).toHaveLength(3);
      });

      duty('merges matching channels by seq', async () => {
        await Promise.all([
          bench.fill('a/x', 50),
          bench.fill('a/y', 50),
          bench.fill('b', 50),
          bench.fill('a', 50),
        ]);
        for (const filter of ['a/*', 'a/**', '**', 'b']) {
          const { messages } = await bench.readAll(filter, await bench.earliest(filter), 7);
          const expected = bench.fed.filter(({ channel }) =>
            filter === '**'
              ? true
              : filter === 'b'
                ? channel === 'b'
                : filter === 'a/*'
                  ? channel.startsWith('a/')
                  : channel.startsWith('a'),
          );
          expect(messages.map(({ seq }) => seq)).toEqual(expected.map(({ seq }) => seq));
        }
      });

      duty('reads a filter of more channels than are merged one by one', async () => {
        for (let round = 0; round < 3; round += 1) {
          await bench.store.append(
            Array.from({ length: 200 }, (_, index) => bench.entry(`m/${index}`, `${round}`)),
          );
          await bench.append('other', 'x');
        }
        const { messages } = await bench.readAll('m/*', await bench.earliest('m/*'), 101);
        expect(messages.map(({ seq }) => seq)).toEqual(
          bench.fed.filter(({ channel }) => channel !== 'other').map(({ seq }) => seq),
        );
      });

      duty('finds channels made after a filter was first read', async () => {
        await bench.append('a/1', 'x');
        const before = await bench.readAll('a/*', await bench.earliest('a/*'));
        await bench.append('a/2', 'y');
        expect(payloads((await bench.read('a/*', before.through)).messages)).toEqual(['y']);
      });

      duty('has nothing for a channel that never was', async () => {
        await bench.append('a', 'x');
        for (const filter of ['none', 'none/*']) {
          const page = await bench.read(filter, await bench.earliest(filter));
          expect(page).toMatchObject({ messages: [], gaps: [], atHead: true });
        }
      });

      duty('through is the durable head, also when nothing matched', async () => {
        const start = await bench.head();
        const last = await bench.append('b', 'x');
        expect((await bench.read('a', start)).through).toEqual(positionOf(last));
      });
    });

    describe('positions', () => {
      duty('of one channel hold for another, and for filters', async () => {
        const mark = (await bench.fill('a', 3))[1]!;
        await bench.fill('b', 3);
        expect(payloads((await bench.read('b', positionOf(mark))).messages)).toEqual(['b-1', 'b-2', 'b-3']);
        expect(payloads((await bench.read('*', positionOf(mark))).messages)).toEqual([
          'a-3',
          'b-1',
          'b-2',
          'b-3',
        ]);
        const [, second] = (await bench.read('*', await bench.earliest('*'))).messages;
        expect(payloads((await bench.read('a', second!.position)).messages)).toEqual(['a-3']);
      });

      duty('with any bit of the tag changed are a gap, and reading begins at the earliest', async () => {
        const mark = (await bench.fill('a', 3))[1]!;
        const tag = BigInt(`0x${mark.tag}`);
        for (let bit = 0n; bit < 64n; bit += 1n) {
          const flipped = (tag ^ (1n << bit)).toString(16).padStart(16, '0');
          const page = await bench.read('a', { ...positionOf(mark), tag: flipped });
          expect(page.gaps).toMatchObject([{ channel: 'a', reason: 'restored' }]);
          expect(payloads(page.messages)).toEqual(['a-1', 'a-2', 'a-3']);
          const again = await bench.read('a', page.gaps[0]!.next);
          expect(again.gaps).toEqual([]);
          expect(again.messages).toHaveLength(3);
        }
      });

      duty('of an epoch not known here are a gap', async () => {
        const mark = (await bench.fill('a', 3))[2]!;
        for (const filter of ['a', '*']) {
          for (const odd of [
            { ...positionOf(mark), epoch: 'zzzzzz' },
            { epoch: '000000', seq: 0, tag: noTag },
          ]) {
            const page = await bench.read(filter, odd);
            expect(page.gaps).toMatchObject([{ channel: filter, reason: 'restored' }]);
            expect(page.messages).toHaveLength(3);
          }
        }
      });

      duty('above the head are a gap, never nothing new', async () => {
        const last = (await bench.fill('a', 3))[2]!;
        for (const beyond of [1, 1_000, 2 ** 40, Number.MAX_SAFE_INTEGER - last.seq]) {
          const page = await bench.read('a', { ...positionOf(last), seq: last.seq + beyond });
          expect(page.gaps).toMatchObject([{ reason: 'restored', next: positionOf(last) }]);
          expect(page.messages).toEqual([]);
        }
        const after = await bench.append('a', 'later');
        const page = await bench.read('a', {
          epoch: after.epoch,
          seq: after.seq + 1,
          tag: 'ffffffffffffffff',
        });
        expect(page.gaps).toHaveLength(1);
      });

      duty('with the tag of another message are a gap', async () => {
        const [first, second] = await bench.fill('a', 2);
        const page = await bench.read('a', { ...positionOf(second!), tag: first!.tag });
        expect(page.gaps).toMatchObject([{ reason: 'restored' }]);
      });

      duty('before the first message name the beginning', async () => {
        const start = await bench.head();
        await bench.fill('a', 2);
        expect(await bench.read('a', start)).toMatchObject({ gaps: [], messages: { length: 2 } });
        const forged = await bench.read('a', { ...start, tag: '0000000000000001' });
        expect(forged.gaps).toMatchObject([{ reason: 'restored' }]);
      });

      duty('of a quiet channel stay exact while others trim', async () => {
        const mark = await bench.append('quiet', 'x');
        await bench.fill('busy', 300, { countMax: 3 });
        expect(await bench.read('quiet', positionOf(mark))).toMatchObject({ gaps: [], messages: [] });
        await bench.append('quiet', 'y');
        const page = await bench.read('quiet', positionOf(mark));
        expect(page.gaps).toEqual([]);
        expect(payloads(page.messages)).toEqual(['y']);
      });

      duty('whose own message was trimmed are exact when nothing after it was', async () => {
        const places = await bench.fill('a', 10, { countMax: 4 });
        const page = await bench.read('a', positionOf(places[5]!));
        expect(page.gaps).toEqual([]);
        expect(payloads(page.messages)).toEqual(['a-7', 'a-8', 'a-9', 'a-10']);
      });
    });

    describe('retention', () => {
      duty('by count is exact, and the gap names the missing offsets', async () => {
        const places = await bench.fill('a', 10, { countMax: 4 });
        const [info] = await bench.store.channels(filterOf('a'), undefined, 1);
        expect(info).toMatchObject({ offset: 10, firstOffset: 7 });
        const page = await bench.read('a', positionOf(places[1]!));
        expect(page.gaps).toEqual([
          { channel: 'a', from: 3, to: 6, reason: 'retention', next: positionOf(places[5]!) },
        ]);
        expect(payloads(page.messages)).toEqual(['a-7', 'a-8', 'a-9', 'a-10']);
        expect((await bench.read('a', page.gaps[0]!.next)).gaps).toEqual([]);
      });

      duty('names the first lost offset also for a position read elsewhere', async () => {
        await bench.fill('a', 3);
        const elsewhere = await bench.append('b', 'x');
        await bench.fill('a', 5, { countMax: 2 });
        expect((await bench.read('a', positionOf(elsewhere))).gaps).toMatchObject([{ from: 4, to: 6 }]);
      });

      duty('by bytes is exact', async () => {
        for (let index = 0; index < 10; index += 1)
          await bench.append('a', 'x'.repeat(10), {}, { bytesMax: 35 });
        const [info] = await bench.store.channels(filterOf('a'), undefined, 1);
        expect(info).toMatchObject({ offset: 10, firstOffset: 8, bytes: 30 });
      });

      duty('by age happens in a sweep', async () => {
        await bench.append('a', 'old', { timeMs: nowMs - 10_000 });
        const kept = await bench.append('a', 'new', { timeMs: nowMs });
        await bench.append('b', 'old', { timeMs: nowMs - 10_000 });
        await bench.store.sweep(nowMs, () => ({ countMax: 100, ageMsMax: 5_000, bytesMax: 1e12 }));
        const a = await bench.readAll('a', await bench.earliest('a'));
        expect(a.messages.map(({ seq }) => seq)).toEqual([kept.seq]);
        expect(await bench.store.channels(filterOf('b'), undefined, 1)).toMatchObject([
          { offset: 1, firstOffset: 2, bytes: 0 },
        ]);
        expect((await bench.append('b', 'next')).offset).toBe(2);
      });

      duty('can leave nothing, and offsets continue', async () => {
        const start = await bench.head();
        await bench.fill('a', 3, { countMax: 0 });
        expect(await bench.store.channels(filterOf('a'), undefined, 1)).toMatchObject([
          { offset: 3, firstOffset: 4 },
        ]);
        const page = await bench.read('a', start);
        expect(page.gaps).toMatchObject([{ from: 1, to: 3, reason: 'retention' }]);
        expect((await bench.read('a', page.through)).gaps).toEqual([]);
      });

      duty('for a filter has a notice for each channel, and skips nothing of others', async () => {
        const start = await bench.head();
        await bench.append('b', 'b-1');
        await bench.fill('a', 6, { countMax: 2 });
        await bench.append('b', 'b-2');
        const page = await bench.read('*', start);
        expect(page.gaps).toMatchObject([{ channel: 'a', from: 1, to: 4, reason: 'retention' }]);
        expect(payloads(page.messages)).toEqual(['b-1', 'a-5', 'a-6', 'b-2']);
        // A reader that only got the gap, and comes back with the cursor in it, still gets everything.
        expect(payloads((await bench.read('*', page.gaps[0]!.next)).messages)).toEqual([
          'b-1',
          'a-5',
          'a-6',
          'b-2',
        ]);
      });

      duty('for a filter tells each loss in the page where it lies', async () => {
        const start = await bench.head();
        await bench.append('b', 'b-1');
        await bench.fill('a', 3, { countMax: 3 });
        await bench.append('b', 'b-2');
        await bench.fill('a', 3, { countMax: 2 });
        const { messages, gaps } = await bench.readAll('*', start, 1);
        expect(payloads(messages)).toEqual(['b-1', 'b-2', 'a-2', 'a-3']);
        expect(gaps.map(({ from, to }) => [from, to])).toEqual([
          [1, 3],
          [4, 4],
        ]);
      });

      duty('sums up gaps that are too many to name', async () => {
        const start = await bench.head();
        const many = (): ReturnType<Store['append']> =>
          bench.store.append(
            Array.from({ length: 150 }, (_, index) => bench.entry(`m/${index}`, 'x', {}, { countMax: 1 })),
          );
        await many();
        await many();
        const page = await bench.read('m/*', start);
        expect(page.gaps.length).toBeLessThanOrEqual(101);
        expect(page.gaps.at(-1)).toMatchObject({ channel: 'm/*', reason: 'retention' });
      });
    });

    describe('deleting', () => {
      duty('takes the log, its listing and its retained message', async () => {
        await bench.append('a', 'x', { retain: true });
        await bench.append('b', 'y');
        expect(await bench.store.drop('a')).toBe(true);
        expect(bench.droppedChannels).toEqual(['a']);
        expect(
          (await bench.store.channels(filterOf('**'), undefined, 10)).map(({ channel }) => channel),
        ).toEqual(['b']);
        expect(await bench.retained('**', 10)).toEqual([]);
        expect((await bench.readAll('**', await bench.earliest('**'))).messages).toHaveLength(1);
        expect(await bench.store.drop('a')).toBe(false);
        expect(await bench.store.drop('never')).toBe(false);
      });

      duty('gives a notice only to readers that had not read everything', async () => {
        const places = await bench.fill('a', 4);
        await bench.store.drop('a');
        const behind = await bench.read('a', positionOf(places[1]!));
        expect(behind).toMatchObject({
          messages: [],
          gaps: [{ channel: 'a', from: 3, to: 4, reason: 'deleted' }],
        });
        expect((await bench.read('a', positionOf(places[3]!))).gaps).toEqual([]);
        expect((await bench.read('*', positionOf(places[1]!))).gaps).toMatchObject([
          { channel: 'a', reason: 'deleted' },
        ]);
        expect((await bench.read('b', positionOf(places[1]!))).gaps).toEqual([]);
      });

      duty('and making again begins at offset 1 in a new life, with seq going on', async () => {
        const old = await bench.fill('a', 3);
        const [before] = await bench.store.channels(filterOf('a'), undefined, 1);
        await bench.store.drop('a');
        const made = await bench.append('a', 'again');
        const [after] = await bench.store.channels(filterOf('a'), undefined, 1);
        expect(made.offset).toBe(1);
        expect(made.seq).toBeGreaterThan(old[2]!.seq);
        expect(after!.epoch).not.toBe(before!.epoch);
        for (const filter of ['a', '*']) {
          const page = await bench.read(filter, positionOf(old[0]!));
          expect(page.gaps).toMatchObject([{ channel: 'a', from: 2, to: 3, reason: 'deleted' }]);
          expect(payloads(page.messages)).toEqual(['again']);
          expect(await bench.read(filter, positionOf(old[2]!))).toMatchObject({
            gaps: [],
            messages: { length: 1 },
          });
        }
        expect((await bench.read('a', await bench.earliest('a'))).gaps).toEqual([]);
      });

      duty('again and again has a notice for each life, and one for all lives beyond', async () => {
        const start = await bench.head();
        for (let life = 0; life < 3; life += 1) {
          await bench.fill('a', 2);
          await bench.store.drop('a');
        }
        const three = (await bench.read('a', start)).gaps;
        expect(three.map(({ from, to, reason }) => [from, to, reason])).toEqual(
          Array(3).fill([1, 2, 'deleted']),
        );
        expect((await bench.read('a', three[1]!.next)).gaps).toMatchObject([{ from: 1, to: 2 }]);
        for (let life = 0; life < 30; life += 1) {
          await bench.append('a', 'x');
          await bench.store.drop('a');
        }
        const many = (await bench.read('a', start)).gaps;
        expect(many.length).toBeLessThan(20);
        expect(many.every(({ from, to }) => from === undefined && to === undefined)).toBe(true);
      });

      duty('in the midst of appends keeps to the order of the calls', async () => {
        const results = await Promise.all([
          bench.append('a', '1'),
          bench.store.drop('a'),
          bench.append('a', '2'),
          bench.append('a', '3'),
        ]);
        expect(results[1]).toBe(true);
        expect([results[2].offset, results[3].offset]).toEqual([1, 2]);
        expect(payloads((await bench.readAll('a', await bench.earliest('a'))).messages)).toEqual(['2', '3']);
      });

      duty('is swept without a trace in what is read', async () => {
        await bench.fill('a', 50);
        await bench.store.drop('a');
        await bench.fill('a', 5);
        await bench.store.sweep(nowMs, () => ({ countMax: 100, ageMsMax: 1e15, bytesMax: 1e12 }));
        expect((await bench.readAll('a', await bench.earliest('a'))).messages).toHaveLength(5);
      });
    });

    describe('locate', () => {
      duty('earliest, latest and the last n of a channel', async () => {
        const places = await bench.fill('a', 10, { countMax: 6 });
        await bench.append('b', 'x');
        const read = async (start: Parameters<Store['locate']>[1], filter = 'a') =>
          bench.read(filter, await bench.store.locate(filterOf(filter), start));
        expect(await read({ kind: 'earliest' })).toMatchObject({ gaps: [], messages: { length: 6 } });
        expect(await read({ kind: 'latest' })).toMatchObject({ gaps: [], messages: [] });
        expect(await read({ kind: 'last', count: 0 })).toMatchObject({ messages: [] });
        expect(payloads((await read({ kind: 'last', count: 2 })).messages)).toEqual(['a-9', 'a-10']);
        expect(await read({ kind: 'last', count: 6 })).toMatchObject({ gaps: [], messages: { length: 6 } });
        expect(await read({ kind: 'last', count: 1_000 })).toMatchObject({
          gaps: [],
          messages: { length: 6 },
        });
        expect(await bench.store.locate(filterOf('a'), { kind: 'latest' })).toEqual(await bench.head());
        expect(places).toHaveLength(10);
      });

      duty('the last n over all channels of a filter', async () => {
        await bench.fill('a', 3);
        await bench.fill('b', 3);
        await bench.append('a', 'newest');
        const start = await bench.store.locate(filterOf('*'), { kind: 'last', count: 3 });
        expect(payloads((await bench.read('*', start)).messages)).toEqual(['b-2', 'b-3', 'newest']);
      });

      duty('the newest of several filters together, by number and by bytes', async () => {
        await bench.fill('a', 3);
        await bench.fill('b', 3);
        await bench.append('c', 'x');
        await bench.append('a', 'newest');
        const filters = ['a', 'b', '*'].map(filterOf);
        const read = async (given: readonly Filter[], limit: PageLimit) =>
          payloads((await bench.read('*', await bench.store.newest(given, limit))).messages);
        const bytesMax = 1e9;
        expect(await read(filters.slice(0, 2), { messagesMax: 3, bytesMax })).toEqual([
          'b-2',
          'b-3',
          'x',
          'newest',
        ]);
        // A channel that several filters match counts once.
        expect(await read(filters, { messagesMax: 3, bytesMax })).toEqual(['b-3', 'x', 'newest']);
        expect(await read(filters, { messagesMax: 100, bytesMax })).toHaveLength(8);
        expect(await read(filters, { messagesMax: 0, bytesMax })).toEqual([]);
        expect(await read(filters, { messagesMax: 100, bytesMax: 1 })).toEqual(['newest']);
        expect(await read(filters, { messagesMax: 100, bytesMax: 2 * 210 })).toEqual(['x', 'newest']);
      });

      duty('whether matching messages were ever lost', async () => {
        await bench.fill('a', 3);
        const isTrimmed = (filter: string): Promise<boolean> => bench.store.hasTrimmed(filterOf(filter));
        expect(await isTrimmed('*')).toBe(false);
        await bench.fill('b', 3, { countMax: 2 });
        await bench.append('c', 'x');
        await bench.store.drop('c');
        expect(await Promise.all(['a', 'b', 'c', '*'].map(isTrimmed))).toEqual([false, true, true, true]);
      });

      duty('an instant', async () => {
        for (const [channel, timeMs] of [
          ['a', 100],
          ['b', 150],
          ['a', 200],
          ['b', 250],
          ['a', 300],
        ] as const) {
          await bench.append(channel, `${channel}${timeMs}`, { timeMs });
        }
        const since = async (filter: string, timeMs: number) =>
          payloads(
            (await bench.read(filter, await bench.store.locate(filterOf(filter), { kind: 'time', timeMs })))
              .messages,
          );
        expect(await since('a', 200)).toEqual(['a200', 'a300']);
        expect(await since('a', 201)).toEqual(['a300']);
        expect(await since('a', 0)).toEqual(['a100', 'a200', 'a300']);
        expect(await since('a', 301)).toEqual([]);
        expect(await since('*', 120)).toEqual(['b150', 'a200', 'b250', 'a300']);
      });
    });

    describe('retained messages', () => {
      duty('are the last one marked so, outlive retention, and go with an empty one', async () => {
        await bench.append('a/1', 'first', { retain: true });
        await bench.append('a/2', 'second', { retain: true }, { countMax: 1 });
        await bench.append('a/1', 'third', { retain: true });
        await bench.append('a/2', 'not kept', {}, { countMax: 1 });
        expect(payloads(await bench.retained('a/*', 10))).toEqual(['second', 'third']);
        expect(payloads(await bench.retained('a/1', 10))).toEqual(['third']);
        expect(await bench.retained('b', 10)).toEqual([]);
        expect(payloads(await bench.retained('**', 1))).toEqual(['second']);
        const place = await bench.append('a/1', '', { retain: true });
        expect(place.offset).toBe(3);
        expect(payloads(await bench.retained('**', 10))).toEqual(['second']);
      });

      duty('come in pages, in seq order, each with what the one before did not have', async () => {
        const names = Array.from({ length: 30 }, (_, at) => `p/${(at * 7) % 30}`);
        for (const name of names) await bench.append(name, name, { retain: true });
        // Replaced and removed, first and in between.
        for (const name of ['p/0', 'p/14']) await bench.append(name, `${name} again`, { retain: true });
        await bench.append('p/21', '', { retain: true });
        const left = names.filter((name) => !['p/0', 'p/14', 'p/21'].includes(name));
        const wanted = [...left, 'p/0 again', 'p/14 again'];
        for (const limit of [
          { messagesMax: 7, bytesMax: 1e9 },
          { messagesMax: 1_000, bytesMax: 1_000 },
          { messagesMax: 1_000, bytesMax: 1 },
        ]) {
          const seen: Message[] = [];
          for (let afterSeq = 0, atEnd = false; !atEnd; afterSeq = seen.at(-1)!.seq) {
            const page = await bench.store.retained(filterOf('p/*'), afterSeq, limit);
            expect(page.messages.length).toBeLessThanOrEqual(limit.messagesMax);
            if (limit.bytesMax === 1) expect(page.messages).toHaveLength(1);
            seen.push(...page.messages);
            ({ atEnd } = page);
          }
          expect(payloads(seen)).toEqual(wanted);
        }
        const { seq } = (await bench.retained('p/0', 1))[0]!;
        const none = await bench.store.retained(filterOf('p/0'), seq, { messagesMax: 1, bytesMax: 1 });
        expect(none).toEqual({ messages: [], atEnd: true });
        // One that was swept, dropped or published anew since is not in the way.
        await bench.store.drop('p/14');
        await bench.append('p/1', 'newest', { retain: true });
        expect(payloads(await bench.retained('p/**', 100)).slice(-2)).toEqual(['p/0 again', 'newest']);
      });

      duty('that have expired are swept', async () => {
        await bench.append('a', 'x', { retain: true, expiresAtMs: nowMs + 10 });
        await bench.append('b', 'y', { retain: true });
        await bench.store.sweep(nowMs + 11, () => ({ countMax: 100, ageMsMax: 1e15, bytesMax: 1e12 }));
        expect(payloads(await bench.retained('**', 10))).toEqual(['y']);
      });
    });

    describe('quotas', () => {
      const codes = (results: readonly Appended[]): readonly string[] =>
        results.map((result) => (result instanceof EverywireError ? result.code : 'stored'));
      const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `c${index}`);
      const fillChannels = async (): Promise<void> => {
        await bench.store.append(names(400).map((name) => bench.entry(name, 'x', { key: 'k' })));
      };

      duty('as many channels as there may be, and one that is deleted makes room', async () => {
        const results = await bench.store.append(names(401).map((name) => bench.entry(name, 'x')));
        expect(codes(results).filter((code) => code !== 'stored')).toEqual(['quota_exceeded']);
        expect(codes(results).at(-1)).toBe('quota_exceeded');
        // Those that are there take more.
        await bench.append('c7', 'more');
        await bench.store.drop('c7');
        expect(codes(await bench.store.append(['c7', 'new'].map((name) => bench.entry(name, 'x'))))).toEqual([
          'stored',
          'quota_exceeded',
        ]);
        expect(await bench.store.channels(filterOf('**'), undefined, 1_000)).toHaveLength(400);
      });

      duty('a repetition needs no room', async () => {
        await fillChannels();
        const again = bench.entry('c1', 'x', { key: 'k' });
        const other = bench.entry('c1', 'y', { key: 'k' });
        expect(codes(await bench.store.append([again, other]))).toEqual(['stored', 'conflict']);
        expect(codes(await bench.store.append([again], { atomic: true }))).toEqual(['stored']);
      });

      duty('all or none holds for channels and for retained messages', async () => {
        await bench.store.append(names(399).map((name) => bench.entry(name, 'x')));
        const before = await bench.head();
        const entries = ['n1', 'n1', 'n2'].map((name) => bench.entry(name, 'x'));
        const refused = await bench.store.append(entries, { atomic: true });
        expect(codes(refused)).toEqual(['quota_exceeded', 'quota_exceeded', 'quota_exceeded']);
        expect((await bench.head()).seq).toBe(before.seq);
        expect(codes(await bench.store.append(entries.slice(0, 2), { atomic: true }))).toEqual([
          'stored',
          'stored',
        ]);
        const retain = (name: string) => bench.entry(name, 'x', { retain: true });
        await bench.store.append(names(29).map(retain));
        const pair = ['c50', 'c51'].map(retain);
        expect(codes(await bench.store.append(pair, { atomic: true }))).toEqual([
          'quota_exceeded',
          'quota_exceeded',
        ]);
        expect(codes(await bench.store.append(['c50', 'c50', 'c1'].map(retain), { atomic: true }))).toEqual([
          'stored',
          'stored',
          'stored',
        ]);
      });

      duty('as many retained messages as there may be, and one that is removed makes room', async () => {
        const retain = (name: string, text = 'x') => bench.entry(name, text, { retain: true });
        const results = await bench.store.append(names(31).map((name) => retain(name)));
        expect(codes(results).filter((code) => code !== 'stored')).toEqual(['quota_exceeded']);
        // In place of another one, or not retained, is no more.
        expect(codes(await bench.store.append([retain('c3', 'y'), bench.entry('c40', 'z')]))).toEqual([
          'stored',
          'stored',
        ]);
        expect(codes(await bench.store.append([retain('c40')]))).toEqual(['quota_exceeded']);
        await bench.store.append([retain('c3', '')]);
        expect(codes(await bench.store.append([retain('c40')]))).toEqual(['stored']);
        await bench.store.drop('c4');
        expect(codes(await bench.store.append([retain('c41'), retain('c42')]))).toEqual([
          'stored',
          'quota_exceeded',
        ]);
        expect(await bench.retained('**', 1_000)).toHaveLength(30);
      });

      duty('are counted anew when the store is opened again', async () => {
        await fillChannels();
        await bench.store.append(names(30).map((name) => bench.entry(name, 'x', { retain: true })));
        await bench.store.drop('c399');
        await reopen();
        const results = await bench.store.append([
          bench.entry('n1', 'x', { retain: true }),
          bench.entry('n1', 'x'),
          bench.entry('n2', 'x'),
        ]);
        expect(codes(results)).toEqual(['quota_exceeded', 'stored', 'quota_exceeded']);
      });
    });

    describe('listing', () => {
      duty('goes by name in code-unit order, page by page', async () => {
        const names = ['b', 'a/2', 'a/10', 'a', '/a', 'ａ', '😀', 'a//b', 'é'];
        for (const channel of names) await bench.append(channel, 'x');
        const listed: string[] = [];
        for (let after: string | undefined; ;) {
          const page = await bench.store.channels(filterOf('**'), after, 2);
          listed.push(...page.map(({ channel }) => channel));
          if (page.length < 2) break;
          after = page.at(-1)!.channel;
        }
        expect(listed).toEqual([...names].sort());
        expect(
          (await bench.store.channels(filterOf('a/*'), undefined, 10)).map(({ channel }) => channel),
        ).toEqual(['a/10', 'a/2']);
        expect(
          (await bench.store.channels(filterOf('a/**'), 'a/10', 10)).map(({ channel }) => channel),
        ).toEqual(['a/2']);
        expect(await bench.store.channels(filterOf('a'), undefined, 10)).toMatchObject([
          { channel: 'a', offset: 1, firstOffset: 1, bytes: 1 },
        ]);
        expect(await bench.store.channels(filterOf('none'), undefined, 10)).toEqual([]);
        expect(await bench.store.channels(filterOf('**'), undefined, 0)).toEqual([]);
      });
    });

    describe('records', () => {
      duty('are written, replaced, removed and listed in byte order', async () => {
        const { records } = bench.store;
        const value = Buffer.from('v');
        await records.write(
          ['b', 'a', 'a/2', 'a/10', 'é', '😀', 'ｚ'].map((key) => ({ table: 't', key, value })),
        );
        await records.write([{ table: 'u', key: 'a', value: Buffer.from('other') }]);
        await records.write([
          { table: 't', key: 'a', value: Buffer.from('new') },
          { table: 't', key: 'b', value: undefined },
        ]);
        expect((await records.get('t', 'a'))?.toString()).toBe('new');
        expect(await records.get('t', 'b')).toBeUndefined();
        expect((await records.get('u', 'a'))?.toString()).toBe('other');
        const keys = async (...args: [string, string | undefined, number]) =>
          (await records.list('t', ...args)).map(({ key }) => key);
        expect(await keys('', undefined, 10)).toEqual(['a', 'a/10', 'a/2', 'é', 'ｚ', '😀']);
        expect(await keys('a/', undefined, 10)).toEqual(['a/10', 'a/2']);
        expect(await keys('a', 'a', 1)).toEqual(['a/10']);
        expect(await keys('a', 'a/2', 10)).toEqual([]);
        expect(await records.list('none', '', undefined, 10)).toEqual([]);
      });

      duty('come with the messages of their call', async () => {
        const value = Buffer.alloc(10_000, 3);
        const records = [{ table: 't', key: 'k', value }];
        let atFeed: Buffer | undefined;
        const reads: Promise<void>[] = [];
        bench.appended = () => {
          reads.push(bench.store.records.get('t', 'k').then((found) => void (atFeed = found)));
        };
        await bench.store.append([bench.entry('a', 'x')], { records });
        await Promise.all(reads);
        expect(atFeed?.equals(value)).toBe(true);
        await bench.store.append([], { records: [{ table: 't', key: 'k', value: undefined }] });
        expect(await bench.store.records.get('t', 'k')).toBeUndefined();
      });

      duty('are written with a duplicate, and not when an entry of their call is refused', async () => {
        const withRecord = (text: string) => ({
          records: [{ table: 't', key: 'k', value: Buffer.from(text) }],
        });
        const value = async () => (await bench.store.records.get('t', 'k'))?.toString();
        await bench.store.append([bench.entry('a', 'x', { key: 'id' })], withRecord('first'));
        expect(await value()).toBe('first');
        const [again] = await bench.store.append([bench.entry('a', 'x', { key: 'id' })], withRecord('again'));
        expect(placed(again).duplicate).toBe(true);
        expect(await value()).toBe('again');
        const [refused] = await bench.store.append(
          [bench.entry('a', 'other', { key: 'id' })],
          withRecord('refused'),
        );
        expect(refused).toMatchObject({ code: 'conflict' });
        expect(await value()).toBe('again');
        const [stored, conflicting] = await bench.store.append(
          [bench.entry('b', 'x'), bench.entry('a', 'other', { key: 'id' })],
          withRecord('partly refused'),
        );
        expect(placed(stored).offset).toBe(1);
        expect(conflicting).toMatchObject({ code: 'conflict' });
        expect(await value()).toBe('again');
      });
    });

    const part = { duty, bench: () => bench };
    guardContract(part, modelRuns);
    leaseContract(part, reopen, () => nowMs);
    secondOpenerContract(part, isAloneBecause ?? (() => trial.makeAnother!()));

    describe('following', () => {
      duty('begins at the head, and the feed carries everything from there', async () => {
        await bench.append('a', 'before');
        const start = await bench.store.follow(filterOf('a'));
        expect(start).toEqual(await bench.head());
        const fedBefore = bench.fed.length;
        await bench.append('a', 'after');
        expect(payloads(bench.fed.slice(fedBefore))).toEqual(['after']);
        await bench.store.unfollow(filterOf('a'));
      });
    });

    describe('a model of forty lines', () => {
      duty('agrees in every state that random steps lead to', async () => {
        await checkAgainstModel(async () => {
          await bench.store.close();
          trial.remove();
          trial = place({ clock, random: createSystemRandom(), limits: defaultLimits });
          await open();
          return {
            bench,
            ...(trial.copies === undefined ? {} : { reopen: async () => (await reopen(), bench) }),
          };
        }, modelRuns);
      });
    });

    describe('opened again', () => {
      duty('has everything, under a new epoch, and old positions hold', async () => {
        const places = await bench.fill('a', 5, { countMax: 4 });
        await bench.append('r', 'kept', {
          retain: true,
          key: 'k',
          event: 'e',
          headers: new Map([['h', 'v']]),
        });
        await bench.store.records.write([{ table: 't', key: 'k', value: Buffer.from('v') }]);
        await bench.store.append([bench.entry('d', 'x')]);
        await bench.store.drop('d');
        const [listed] = await bench.store.channels(filterOf('a'), undefined, 1);
        await reopen();
        expect(await bench.store.channels(filterOf('a'), undefined, 1)).toEqual([listed]);
        expect(payloads((await bench.read('a', positionOf(places[2]!))).messages)).toEqual(['a-4', 'a-5']);
        expect((await bench.read('a', positionOf(places[2]!))).gaps).toEqual([]);
        expect(payloads(await bench.retained('**', 10))).toEqual(['kept']);
        expect((await bench.store.records.get('t', 'k'))?.toString()).toBe('v');
        expect((await bench.append('r', 'kept', { key: 'k', event: 'e' })).duplicate).toBe(true);
        const next = await bench.append('a', 'a-6', {}, { countMax: 4 });
        expect(next).toMatchObject({ offset: 6 });
        expect(next.epoch).not.toBe(places[0]!.epoch);
        const page = await bench.read('a', positionOf(places[0]!));
        expect(page.gaps).toMatchObject([{ from: 2, to: 2, reason: 'retention' }]);
        expect(page.messages.map(({ offset, epoch }) => [offset, epoch === next.epoch])).toEqual([
          [3, false],
          [4, false],
          [5, false],
          [6, true],
        ]);
        expect((await bench.read('d', positionOf(places[0]!))).gaps).toMatchObject([
          { channel: 'd', reason: 'deleted' },
        ]);
      });

      duty('with an older copy put back: positions of the lost tail are a gap', async () => {
        const kept = await bench.fill('a', 3);
        await bench.store.close();
        trial.copies!.take();
        await open();
        const lost = await bench.fill('a', 3);
        await bench.store.close();
        trial.copies!.putBack();
        await open();
        const newer = await bench.fill('a', 5);
        expect(newer[0]).toMatchObject({ offset: 4, seq: lost[0]!.seq });
        for (const filter of ['a', '**']) {
          for (const place of lost) {
            const page = await bench.read(filter, positionOf(place));
            expect(page.gaps).toMatchObject([{ reason: 'restored' }]);
            expect(page.messages.map(({ seq }) => seq)).toEqual(
              expect.arrayContaining(newer.map(({ seq }) => seq)),
            );
          }
          const exact = await bench.read(filter, positionOf(kept[2]!));
          expect(exact.gaps).toEqual([]);
          expect(exact.messages).toHaveLength(5);
        }
      });

      duty('with an older copy of the same opening put back', async () => {
        await bench.fill('a', 3);
        await reopen();
        const kept = await bench.fill('a', 2);
        await bench.store.close();
        trial.copies!.take();
        // The copy is of a closed store, so no other process continues the epoch: the tail is lost within the next epoch.
        await open();
        const lost = await bench.fill('a', 1);
        await bench.store.close();
        trial.copies!.putBack();
        await open();
        const page = await bench.read('a', positionOf(lost[0]!));
        expect(page.gaps).toMatchObject([{ reason: 'restored' }]);
        expect((await bench.read('a', positionOf(kept[1]!))).gaps).toEqual([]);
      });
    });

    it('names only duties that there are in its skips', () => {
      expect([...reasons.keys()].filter((title) => !given.has(title))).toEqual([]);
    });
  });
}
