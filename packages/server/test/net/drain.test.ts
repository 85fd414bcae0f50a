import { expect, test } from 'vitest';
import { cutAt } from '../../src/net/drain.ts';

test('a peer left at the deadline is cut, and none that has gone before', async () => {
  const deadline = new AbortController();
  let leave = (): void => undefined;
  const gone = new Promise<void>((resolve) => (leave = resolve));
  let cuts = 0;
  const cut = (): void => {
    cuts += 1;
    leave();
  };
  await cutAt(deadline.signal, { gone: Promise.resolve(), cut });
  const waiting = cutAt(deadline.signal, { gone, cut });
  deadline.abort();
  await waiting;
  expect(cuts).toBe(1);
  await cutAt(deadline.signal, { gone: Promise.resolve(), cut });
  expect(cuts).toBe(2);
});
