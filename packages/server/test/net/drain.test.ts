import { expect, test } from 'vitest';
import { cutAt, spreadMs } from '../../src/net/drain.ts';

test('peers come back after the least time, and up to its share later', () => {
  const at = (hex: string, share?: number): number => spreadMs(2_000, { hex: () => hex }, share);
  expect([at('0000'), at('ffff'), at('ffff', 0.5)]).toEqual([2_000, 4_000, 3_000]);
});

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
