import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EverywireError } from '../src/errors.ts';
import { FilterTrie, literalPrefix, matches, parseFilter } from '../src/filter.ts';
import { checkChannel } from '../src/names.ts';

const limits = { nameBytesMax: 255, nameLevelsMax: 16, filterWildcardsMax: 4 };

const parse = (text: string) => parseFilter(text, limits);

/** The definition, by regular expression, to hold the walkers against. */
function reference(filter: string, channel: string): boolean {
  const levels = filter.split('/');
  const isRest = levels.at(-1) === '**';
  const head = (isRest ? levels.slice(0, -1) : levels)
    .map((level) => (level === '*' ? '[^/]*' : level.replace(/[.$^|()[\]{}\\?]/g, '\\$&')))
    .join('/');
  if (!isRest) return new RegExp(`^${head}$`, 's').test(channel);
  return levels.length === 1 || new RegExp(`^${head}(/.*)?$`, 's').test(channel);
}

const level = fc.constantFrom('a', 'b', '', 'c.d', '__proto__');
const channels = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
const filters = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('*')), { maxLength: 4 }), fc.constantFrom('**', 'a', '*', ''))
  .map(([levels, last]) => [...levels, last].join('/'))
  .filter((text) => text !== '' && text.split('/').filter((one) => one === '*').length <= 3);

describe('filter', () => {
  it.each([
    ['a/b', 'a/b', true],
    ['a/*', 'a/b', true],
    ['a/*', 'a/b/c', false],
    ['a/*', 'a', false],
    ['a/*', 'a/', true],
    ['a/**', 'a', true],
    ['a/**', 'a/b/c', true],
    ['**', '/a', true],
    ['*', '', true],
    ['*/b', '/b', true],
    ['+/b', 'a/b', true],
    ['a/#', 'a/b', true],
    ['**', '$SYS/x', false],
    ['*/x', '$SYS/x', false],
  ])('%s against %s is %s', (filter, channel, isMatch) => {
    expect(matches(parse(filter), channel)).toBe(isMatch);
    const trie = new FilterTrie<number>();
    trie.add(parse(filter), 1);
    const found: number[] = [];
    trie.match(channel, (value) => found.push(value));
    expect(found).toEqual(isMatch ? [1] : []);
  });

  it('agrees with the definition, one at a time and in the trie, through additions and removals', () => {
    fc.assert(
      fc.property(
        fc.array(filters, { maxLength: 12 }),
        fc.array(filters, { maxLength: 4 }),
        channels,
        (kept, gone, channel) => {
          const trie = new FilterTrie<string>();
          for (const text of [...gone, ...kept]) trie.add(parse(text), text);
          for (const text of gone) if (!kept.includes(text)) trie.remove(parse(text), text);
          const found: string[] = [];
          trie.match(channel, (value) => found.push(value));
          const expected = [...new Set(kept)].filter((text) => reference(text, channel));
          expect(found.sort()).toEqual(expected.sort());
          for (const text of kept) expect(matches(parse(text), channel)).toBe(reference(text, channel));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('counts # by its canonical length, so that a stored filter is accepted again', () => {
    const { nameBytesMax } = limits;
    const long = `${'a'.repeat(nameBytesMax - 3)}/#`;
    const { text } = parse(long);
    expect(Buffer.byteLength(text)).toBe(nameBytesMax);
    expect(parse(text).text).toBe(text);
    expect(() => parse(`a${long}`)).toThrow(expect.objectContaining({ code: 'bad_name' }) as Error);
  });

  it('forgets everything that was removed', () => {
    const trie = new FilterTrie<string>();
    const texts = ['a/b', 'a/*', 'a/**', '**', 'x/*/y/**'];
    for (const text of texts) trie.add(parse(text), text);
    for (const text of texts) trie.remove(parse(text), text);
    expect(trie.size).toBe(0);
    expect(JSON.stringify(trie)).toBe(JSON.stringify(new FilterTrie()));
  });

  it('starts scans where every match begins', () => {
    fc.assert(
      fc.property(filters, channels, (text, channel) => {
        const filter = parse(text);
        if (matches(filter, channel)) expect(channel.startsWith(literalPrefix(filter))).toBe(true);
      }),
    );
  });

  it.each([
    '',
    'a/**/b',
    'a*',
    'a/b+',
    '#/a',
    '*/*/*/*/*',
    '$SYS/#',
    '$share/g/a',
    'a\u0000',
    'a\n',
    'a\u0085',
    '\ud800',
    'x'.repeat(256),
    'é'.repeat(128),
    '/'.repeat(16),
  ])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow(EverywireError);
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'bad_name' }) as Error);
  });

  it('matches hostile filters in bounded time', () => {
    const trie = new FilterTrie<number>();
    for (let mask = 0; mask < 65_536; mask += 1) {
      const levels = Array.from({ length: 16 }, (_, at) => ((mask >> at) & 1 ? '*' : 'a'));
      if (levels.filter((one) => one === '*').length <= 4) trie.add(parse(levels.join('/')), mask);
    }
    const channel = Array(16).fill('a').join('/');
    let found = 0;
    const startMs = performance.now();
    trie.match(channel, () => (found += 1));
    expect(found).toBe(trie.size);
    expect(performance.now() - startMs).toBeLessThan(100);
  });
});

describe('channel name', () => {
  it.each([
    'a',
    '/a',
    'a/',
    'a//b',
    '..',
    '%2f',
    'a\u2028b',
    '\u00e9',
    'e\u0301',
    '\ufeffa',
    'x'.repeat(255),
    '/'.repeat(15),
    '__proto__',
  ])('keeps %j as it is', (name) => {
    expect(checkChannel(name, limits)).toBe(name);
  });

  it.each([
    '',
    'x'.repeat(256),
    '/'.repeat(16),
    'a+',
    '#',
    'a*b',
    'a\r',
    'a\t',
    'a\u007f',
    'a\u0085',
    '$x',
    '$',
    '\udc00a',
  ])('refuses %j', (name) => {
    expect(() => checkChannel(name, limits)).toThrow(expect.objectContaining({ code: 'bad_name' }) as Error);
  });
});
