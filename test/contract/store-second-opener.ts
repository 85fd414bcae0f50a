import { describe, expect, it } from 'vitest';
import type { Store } from '../../packages/server/src/core/seams/store.ts';
import { fence, taken } from './store-leases.ts';
import { guard, outcome, row, textOf, type ContractPart } from './store-conditions.ts';
import { filterOf, payloads, placed, StoreBench } from './store-bench.ts';

/** Two nodes on one store: each sees what the other did, and what only one may do, one does. */
export function secondOpenerContract(
  { duty, bench }: ContractPart,
  makeAnother: (() => Store) | string,
): void {
  describe('with a second opener of the same store', () => {
    if (typeof makeAnother === 'string') {
      it.skip(`everything (${makeAnother})`, () => undefined);
      return;
    }

    const withAnother = async (run: (one: StoreBench, other: StoreBench) => Promise<void>): Promise<void> => {
      const other = new StoreBench(makeAnother());
      await other.store.open(other);
      try {
        await run(bench(), other);
      } finally {
        await other.store.close();
      }
    };

    duty('says that others write, and each node has a name', async () => {
      await withAnother(async (one, other) => {
        expect(one.store.traits.writers).toBe('many');
        expect(one.store.cluster.node).not.toBe(other.store.cluster.node);
        const nodes = [one, other].map(({ store }) => ({ node: store.cluster.node }));
        for (const { store } of [one, other])
          expect(await store.cluster.nodes()).toEqual(expect.arrayContaining(nodes));
      });
    });

    duty('has one order of messages from all openers', async () => {
      await withAnother(async (one, other) => {
        await Promise.all([one.fill('a', 20), other.fill('a', 20), other.fill('b', 20)]);
        const [mine, theirs] = await Promise.all([
          one.readAll('**', await one.earliest('**'), 7),
          other.readAll('**', await other.earliest('**')),
        ]);
        expect(mine.messages).toHaveLength(60);
        expect(payloads(mine.messages)).toEqual(payloads(theirs.messages));
        expect(mine.messages.map(({ seq }) => seq)).toEqual(theirs.messages.map(({ seq }) => seq));
      });
    });

    duty('stores a publish id once', async () => {
      await withAnother(async (one, other) => {
        const entry = one.entry('a', 'x', { key: 'k' });
        const results = await Promise.all([one.store.append([entry]), other.store.append([entry])]);
        const places = results.map(([result]) => placed(result));
        expect(places.map(({ duplicate }) => duplicate).sort()).toEqual([false, true]);
        expect(places[0]!.seq).toBe(places[1]!.seq);
      });
    });

    duty('lets exactly one node change a row that both read', async () => {
      await withAnother(async (one, other) => {
        await one.store.records.write([row('a', '0')]);
        expect(await textOf(other.store, 'a')).toBe('0');
        const guards = [guard('a', '0')];
        const writes = Array.from({ length: 10 }, (_, index) => {
          const { store } = index % 2 === 0 ? one : other;
          return outcome(store.records.write([row('a', `w${index}`)], { guards }));
        });
        const outcomes = await Promise.all(writes);
        expect(outcomes.filter((each) => each === 'stored')).toHaveLength(1);
        const winner = `w${outcomes.indexOf('stored')}`;
        expect([await textOf(one.store, 'a'), await textOf(other.store, 'a')]).toEqual([winner, winner]);
      });
    });

    duty('gives a lease to one node, and fences the former holder when the other takes it over', async () => {
      await withAnother(async (one, other) => {
        const leases = await Promise.all([one.store.cluster.lease('x'), other.store.cluster.lease('x')]);
        expect(leases.filter((lease) => lease !== undefined)).toHaveLength(1);
        const former = leases[0] ?? leases[1]!;
        const [holder, taker] = leases[0] === undefined ? [other, one] : [one, other];
        const next = await taken(taker.store, 'x');
        const late = { fences: [fence(former)] };
        expect(await outcome(holder.store.records.write([row('a', 'late')], late))).toBe('stale');
        expect(await outcome(holder.store.append([holder.entry('a', 'late')], late))).toBe('stale');
        expect(await outcome(taker.store.records.write([row('a', '1')], { fences: [fence(next)] }))).toBe(
          'stored',
        );
        expect(await textOf(holder.store, 'a')).toBe('1');
        expect(await holder.store.channels(filterOf('**'), undefined, 10)).toEqual([]);
        await next.release();
        expect(await holder.store.cluster.lease('x')).toBeDefined();
      });
    });

    duty('still works for one opener when the other closes', async () => {
      await withAnother(async (one, other) => {
        await other.append('a', 'x');
        await other.store.close();
        expect((await one.append('a', 'y')).offset).toBe(2);
      });
    });
  });
}
