import { expect, test } from 'vitest';
import { spreadMs } from '../../src/core/spread.ts';

test('peers come back after the least time, and up to its share later', () => {
  const at = (hex: string, share?: number): number => spreadMs(2_000, { hex: () => hex }, share);
  expect([at('0000'), at('ffff'), at('ffff', 0.5)]).toEqual([2_000, 4_000, 3_000]);
});
