import fc from 'fast-check';
import { expect, test } from 'vitest';
import { asRecord, parseExactly } from '../src/exact-json.ts';

test.each(['12345678901234567890', '1.0', '1e400', '-0', '{"a":[9007199254740993,"x",null,true]}', '1E5'])(
  '%s is written unchanged',
  (text) => {
    expect(JSON.stringify(parseExactly(text))).toBe(text);
  },
);

test('any JSON comes out as JSON.stringify wrote it', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(JSON.stringify(parseExactly(text))).toBe(text);
    }),
  );
});

test('only objects have members', () => {
  expect(asRecord({ a: 1 })).toEqual({ a: 1 });
  for (const other of [null, [], 'a', 1, true, undefined]) expect(asRecord(other)).toBeUndefined();
});
