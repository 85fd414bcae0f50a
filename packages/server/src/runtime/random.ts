import { randomFillSync } from 'node:crypto';
import type { Random } from '../core/clock.ts';

/** A call into the generator costs microseconds and every message needs two draws, so bytes are drawn ahead. */
const poolBytes = 4096;

/** Random bytes of the operating system's generator. Each byte of the pool is handed out once. */
export function createSystemRandom(): Random {
  const pool = Buffer.alloc(poolBytes);
  let at = poolBytes;
  return {
    hex(count: number): string {
      if (count > poolBytes) return randomFillSync(Buffer.alloc(count)).toString('hex');
      if (at + count > poolBytes) {
        randomFillSync(pool);
        at = 0;
      }
      const text = pool.toString('hex', at, at + count);
      at += count;
      return text;
    },
  };
}
