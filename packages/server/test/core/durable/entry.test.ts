import { expect, it } from 'vitest';
import { Entry } from '../../../src/core/durable/entry.ts';
import type { Lease } from '../../../src/core/seams/cluster.ts';

it('a write under a former lease does not end the present holder of the session', () => {
  const name = 'sessions/a';
  const lost: string[] = [];
  const entry = new Entry('a', () => undefined);
  entry.lease = { name, token: '2' } as Lease;
  entry.open = { movingRows: () => undefined, loseTo: (why) => lost.push(why) };
  entry.stale({ records: [], fences: [{ name, token: '1' }] });
  expect(lost).toEqual([]);
  entry.stale({ records: [], fences: [{ name, token: '2' }] });
  expect(lost).toEqual(['stale']);
});
