import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cursorLengthMax, formatCursor, parseCursor, type Position } from '../src/index.ts';

const positions: fc.Arbitrary<Position> = fc.record({
  epoch: fc.stringMatching(/^[0-9a-z]{6}$/),
  seq: fc.maxSafeNat(),
  tag: fc.stringMatching(/^[0-9a-f]{16}$/),
});

describe('cursor', () => {
  it('reads what it wrote, within its length', () => {
    fc.assert(
      fc.property(positions, (position) => {
        const text = formatCursor(position);
        expect(text.length).toBeLessThanOrEqual(cursorLengthMax);
        expect(parseCursor(text)).toEqual(position);
      }),
    );
  });

  it('has one spelling per place: all that parses is spelled that way', () => {
    fc.assert(
      fc.property(positions, fc.nat(35), fc.integer({ min: 0, max: 255 }), (position, at, byte) => {
        const bytes = Buffer.from(formatCursor(position), 'latin1');
        if (at < bytes.length) bytes[at] = byte;
        const text = bytes.toString('latin1');
        const parsed = parseCursor(text);
        if (parsed !== undefined) expect(formatCursor(parsed)).toBe(text);
      }),
    );
  });

  it('never reads a flipped bit as the same place', () => {
    const text = formatCursor({ epoch: 'k3f9q2', seq: 1_234_567, tag: '9f3c0d4e5a6b7c8d' });
    for (let bit = 0; bit < text.length * 8; bit += 1) {
      const bytes = Buffer.from(text, 'latin1');
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const parsed = parseCursor(bytes.toString('latin1'));
      if (parsed !== undefined) expect(formatCursor(parsed)).not.toBe(text);
    }
  });

  it.each([
    ['nothing', ''],
    ['4 KiB', '1'.repeat(4096)],
    ['an unknown version', '2k3f9q2.a.9f3c0d4e5a6b7c8d'],
    ['a padded seq', '1k3f9q2.0a.9f3c0d4e5a6b7c8d'],
    ['a negative seq', '1k3f9q2.-a.9f3c0d4e5a6b7c8d'],
    ['a seq of 2^53', `1k3f9q2.${(2 ** 53).toString(36)}.9f3c0d4e5a6b7c8d`],
    ['upper case', '1K3F9Q2.a.9f3c0d4e5a6b7c8d'],
    ['white space around', ' 1k3f9q2.a.9f3c0d4e5a6b7c8d '],
    ['a line break behind', '1k3f9q2.a.9f3c0d4e5a6b7c8d\n'],
    ['foreign characters', '1k3f9q2.a.9f3c0d4e5a6b7c8é'],
  ])('refuses %s', (_what, text) => {
    expect(parseCursor(text)).toBeUndefined();
  });

  it('refuses a cursor cut at any character', () => {
    const text = formatCursor({ epoch: 'k3f9q2', seq: 1_234_567, tag: '9f3c0d4e5a6b7c8d' });
    for (let length = 0; length < text.length; length += 1)
      expect(parseCursor(text.slice(0, length))).toBeUndefined();
  });
});
