import { describe, expect, test } from 'vitest';
import { createSystemRandom } from '../../src/runtime/random.ts';

describe('createSystemRandom', () => {
  test('gives as many bytes as asked, as lower-case hex', () => {
    const random = createSystemRandom();
    for (const count of [1, 8, 16, 4095, 4096, 4097, 10_000]) {
      expect(random.hex(count)).toMatch(new RegExp(`^[0-9a-f]{${count * 2}}$`));
    }
  });

  test('hands out no bytes twice, also across refills of the pool', () => {
    const random = createSystemRandom();
    const drawn = new Set<string>();
    for (let draw = 0; draw < 5_000; draw += 1) drawn.add(random.hex(8));
    expect(drawn.size).toBe(5_000);
  });
});
