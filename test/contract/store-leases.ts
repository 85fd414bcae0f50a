import { describe, expect } from 'vitest';
import type { Lease } from '../../packages/server/src/core/seams/cluster.ts';
import type { Fence, Store } from '../../packages/server/src/core/seams/store.ts';
import { guard, outcome, row, textOf, type ContractPart } from './store-conditions.ts';
import { placed } from './store-bench.ts';

export const fence = ({ name, token }: Lease): Fence => ({ name, token });

export async function taken(store: Store, name: string): Promise<Lease> {
  const lease = await store.cluster.lease(name, { takeOver: true });
  if (lease === undefined) throw new Error('a take-over was refused');
  return lease;
}

/** Leases, and fences: the store refuses writes once their lease belongs to another owner. */
export function leaseContract(
  { duty, bench }: ContractPart,
  reopen: () => Promise<void>,
  nowMs: () => number,
): void {
  const write = (lease: Lease, text: string, more: readonly Fence[] = []) =>
    outcome(bench().store.records.write([row('a', text)], { fences: [fence(lease), ...more] }));

  describe('leases', () => {
    duty('are had by one holder, until it gives them back', async () => {
      const { cluster } = bench().store;
      const [first, second] = await Promise.all([cluster.lease('x'), cluster.lease('x')]);
      expect(first?.name).toBe('x');
      expect(second).toBeUndefined();
      const other = await cluster.lease('y');
      expect(other?.token).not.toBe(first!.token);
      await first!.release();
      expect(first!.lost.aborted).toBe(false);
      const again = await cluster.lease('x');
      expect(again).toBeDefined();
      expect(again!.token).not.toBe(first!.token);
      // The first owner released it already, and now it belongs to the second.
      await first!.release();
      expect(await write(again!, '1')).toBe('stored');
    });

    duty('are taken over, and the former holder hears of it', async () => {
      const { store } = bench();
      const former = (await store.cluster.lease('x'))!;
      const heard = new Promise((resolve) => former.lost.addEventListener('abort', resolve));
      const next = await taken(store, 'x');
      await heard;
      expect(next.lost.aborted).toBe(false);
      expect(await write(former, 'late')).toBe('stale');
      expect(await write(next, 'mine')).toBe('stored');
      await former.release();
      expect(await write(next, 'still mine')).toBe('stored');
      expect(await textOf(store, 'a')).toBe('still mine');
    });

    duty('say that they are lost also when they are asked only afterwards', async () => {
      const { store } = bench();
      const former = (await store.cluster.lease('x'))!;
      await taken(store, 'x');
      expect(former.lost.aborted).toBe(true);
    });

    duty('that are taken over at the same time belong only to the last owner that asked', async () => {
      const { store } = bench();
      const leases = await Promise.all(Array.from({ length: 10 }, () => taken(store, 'x')));
      expect(new Set(leases.map(({ token }) => token)).size).toBe(10);
      const outcomes = await Promise.all(leases.map((lease, index) => write(lease, `${index}`)));
      expect(outcomes.filter((each) => each === 'stored')).toHaveLength(1);
      const holder = leases[outcomes.indexOf('stored')]!;
      expect(leases.filter(({ lost }) => !lost.aborted)).toEqual([holder]);
    });

    duty('are taken over after every write that the former token allowed', async () => {
      const { store } = bench();
      const former = await taken(store, 'x');
      const written = write(former, 'last');
      const next = await taken(store, 'x');
      expect(await textOf(store, 'a')).toBe((await written) === 'stored' ? 'last' : undefined);
      expect(await write(next, 'next')).toBe('stored');
    });

    duty('name this node among those that live, and know the time', async () => {
      const { cluster } = bench().store;
      expect(await cluster.nodes()).toContainEqual({ node: cluster.node });
      expect(await cluster.nowMs()).toBe(nowMs());
    });

    duty('end with the store, and their tokens never come again', async () => {
      const { store } = bench();
      const { node } = store.cluster;
      const former = await taken(store, 'x');
      await reopen();
      expect(bench().store.cluster.node).not.toBe(node);
      expect(await write(former, 'late')).toBe('stale');
      const next = (await bench().store.cluster.lease('x'))!;
      expect(next.token).not.toBe(former.token);
      expect(await write(next, '1')).toBe('stored');
    });
  });

  describe('fences', () => {
    duty('refuse writes without a lease', async () => {
      const lease = await taken(bench().store, 'x');
      expect(await write(lease, '1', [{ name: 'x', token: 'made up' }])).toBe('stale');
      expect(await write(lease, '1', [{ name: 'y', token: lease.token }])).toBe('stale');
      await lease.release();
      expect(await write(lease, '1')).toBe('stale');
      expect(await textOf(bench().store, 'a')).toBeUndefined();
    });

    duty('and guards must all hold', async () => {
      const { store } = bench();
      const fences = [fence(await taken(store, 'x')), fence(await taken(store, 'y'))];
      const both = (text: string, expected: string | undefined) =>
        outcome(store.records.write([row('a', text)], { fences, guards: [guard('a', expected)] }));
      expect(await both('1', undefined)).toBe('stored');
      expect(await both('2', undefined)).toBe('stale');
      expect(await both('2', '1')).toBe('stored');
      await taken(store, 'y');
      expect(await both('3', '2')).toBe('stale');
    });

    duty('hold for messages, in one order with take-overs', async () => {
      const { store } = bench();
      const former = await taken(store, 'x');
      const publish = (lease: Lease, text: string, id?: string) =>
        store.append([bench().entry('c', text, id === undefined ? {} : { key: id })], {
          records: [row('a', text)],
          fences: [fence(lease)],
        });
      const [first] = await publish(former, 'one', 'k');
      const [next, late] = await Promise.all([taken(store, 'x'), outcome(publish(former, 'two'))]);
      expect(late).toBe('stale');
      expect(bench().fed).toHaveLength(1);
      // The repeat of what was stored is answered, also for a holder that lost its lease; its record is not written.
      await store.records.write([row('a', 'new')], { fences: [fence(next)] });
      const [repeat] = await publish(former, 'one', 'k');
      expect(repeat).toEqual({ ...placed(first), duplicate: true });
      expect(await textOf(store, 'a')).toBe('new');
      expect(placed((await publish(next, 'three'))[0]).offset).toBe(2);
    });
  });
}
