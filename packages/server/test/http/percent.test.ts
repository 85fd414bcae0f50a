import fc from 'fast-check';
import { EverywireError } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { channelOfTarget, percentDecode } from '../../src/http/percent.ts';
import { Query } from '../../src/http/query.ts';

describe('percent-decoding', () => {
  it('undoes encodeURIComponent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(text.isWellFormed());
        expect(percentDecode(encodeURIComponent(text), 'text')).toBe(text);
      }),
    );
  });

  it('gives the text or a refusal, and never a replacement character that was not sent', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('%', 'f', 'F', '0', 'e', 'a', 'g', '8', '\u00ff') }),
        (text) => {
          try {
            expect(percentDecode(text, 'text')).not.toContain('\uFFFD');
          } catch (error) {
            expect(error).toBeInstanceOf(EverywireError);
          }
        },
      ),
    );
  });

  it.each([
    ['/channels/a', 'a'],
    ['/channels//a', '/a'],
    ['/channels/a/', 'a/'],
    ['/channels/a//b?x=1', 'a//b'],
    ['/channels/a%2Fb', 'a/b'],
    ['/channels/a%252fb', 'a%2fb'],
    ['/channels/..', '..'],
    ['/channels/a/../b', 'a/../b'],
    ['/channels/', ''],
    ['/channels/%ED%95%9C', '한'],
    ['/channels/\u00ed\u0095\u009c', '한'],
    ['/channels/a+b', 'a+b'],
    ['/channels/%ef%bb%bfa', '\uFEFFa'],
  ])('%s', (target, channel) => {
    expect(channelOfTarget(target, '/channels/')).toBe(channel);
  });
});

describe('a query', () => {
  it('keeps repeated names in order and decodes as forms do', () => {
    const query = new Query('name=a+b&name=c%2Fd&&empty&x=1=2');
    expect(query.all('name')).toEqual(['a b', 'c/d']);
    expect(query.all('empty')).toEqual(['']);
    expect(query.one('empty')).toBeUndefined();
    expect(query.one('x')).toBe('1=2');
    expect(query.one('absent')).toBeUndefined();
    expect(() => query.one('name')).toThrow(/more than once/);
  });

  it('limits large numbers and refuses other text', () => {
    expect(new Query('limit=5000').count('limit', 1000)).toBe(1000);
    expect(new Query('wait=99h').durationMs('wait', 55_000)).toBe(55_000);
    for (const bad of ['0', '-1', '1e3', 'x', '1.5']) {
      expect(() => new Query(`limit=${bad}`).count('limit', 1000)).toThrow(/whole number/);
    }
  });
});
