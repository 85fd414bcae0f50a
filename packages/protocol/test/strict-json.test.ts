import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonFault, parseStrictJson, RawJson } from '../src/strict-json.ts';

const options = { depthMax: 32 };
const parse = (text: string): unknown => parseStrictJson(text, options);

/** Plain objects, so that what was parsed can be compared with what `JSON.parse` makes. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('strict JSON', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), fc.nat(3), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        const isKept = text.isWellFormed() && !/\\ud[89a-f]/i.test(text);
        fc.pre(isKept);
        expect(plain(parse(spaced))).toEqual(JSON.parse(spaced));
      }),
    );
  });

  it('refuses all that JSON.parse refuses', () => {
    const almost = fc.tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom('', ',', '"', '}', ']', ':', '\\', '\0', '0', '-', 'x'),
    );
    fc.assert(
      fc.property(almost, ([text, at, inserted]) => {
        const place = at % (text.length + 1);
        const broken = text.slice(0, place) + inserted + text.slice(place + 1);
        let isJson = true;
        try {
          JSON.parse(broken);
        } catch {
          isJson = false;
        }
        if (!isJson) expect(parse(broken)).toBeInstanceOf(JsonFault);
      }),
    );
  });

  it('never throws, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        parse(text);
      }),
    );
  });

  it.each([
    ['a byte order mark', '\uFEFF1'],
    ['a name twice', '{"a":1,"a":1}'],
    ['a name twice, spelt differently', '{"a":1,"\\u0061":1}'],
    ['half a surrogate pair', '"\\udc00"'],
    ['half a pair in a name', '{"\\ud800":1}'],
    ['half a pair that is not escaped', '"\ud800"'],
    ['an overflow', '-1e400'],
    ['depth 33', `${'['.repeat(33)}${']'.repeat(33)}`],
    ['nothing', ''],
  ])('refuses %s', (_what, text) => {
    expect(parse(text)).toBeInstanceOf(JsonFault);
  });

  it('takes depth 32, whole pairs and __proto__ as a plain name', () => {
    expect(parse(`${'['.repeat(32)}${']'.repeat(32)}`)).not.toBeInstanceOf(JsonFault);
    expect(parse('"\\ud83d\\ude00"')).toBe('😀');
    const value = parse('{"__proto__":{"polluted":true}}') as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });

  it('keeps the source text of the members that are asked for, having checked it', () => {
    const isRaw = (name: string, depth: number): boolean => name === 'data' && depth === 2;
    const read = (text: string): unknown => parseStrictJson(text, { ...options, isRaw });
    const [entry] = read('[{"data": {"n": 1.0, "big": 12345678901234567890}, "x": 1.0}]') as [
      { data: RawJson; x: 1 },
    ];
    expect(entry.data.text).toBe('{"n": 1.0, "big": 12345678901234567890}');
    expect(entry.x).toBe(1);
    expect(read('[{"data": {"a":1,"a":2}}]')).toBeInstanceOf(JsonFault);
  });

  it('reads a long string with escapes', () => {
    const text = 'a\n"'.repeat(300_000);
    expect(parse(JSON.stringify(text))).toBe(text);
    // A character class matches it in one go, an escape by itself: eight million of these are beyond any stack.
    const escapes = '\u0001'.repeat(2 ** 20);
    expect(parse(JSON.stringify(escapes))).toBe(escapes);
  });
});
