import { describe, expect, it } from 'vitest';
import { parseDurationMs, parseFrom, parseSince } from '../src/since.ts';

describe('since', () => {
  it.each([
    ['earliest', { kind: 'earliest' }],
    ['latest', { kind: 'latest' }],
    ['last-0', { kind: 'last', count: 0 }],
    ['last-25', { kind: 'last', count: 25 }],
    ['-5m', { kind: 'time', timeMs: 700_000 }],
    ['-1.5s', { kind: 'time', timeMs: 998_500 }],
    ['2026-01-31T09:00:00Z', { kind: 'time', timeMs: Date.UTC(2026, 0, 31, 9) }],
    ['2026-01-31T09:00:00.5+09:00', { kind: 'time', timeMs: Date.UTC(2026, 0, 31, 0, 0, 0, 500) }],
  ])('%s', (text, start) => {
    expect(parseSince(text, 1_000_000)).toEqual(start);
  });

  it.each([
    '',
    'last--1',
    'last-',
    'last-1e9',
    'now',
    '-',
    '-5y',
    '5m',
    '10000-01-01T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-01-31',
    'NaN',
  ])('refuses %j with 400', (text) => {
    expect(() => parseSince(text, 0)).toThrow(
      expect.objectContaining({ code: 'invalid', httpStatus: 400 }) as Error,
    );
  });

  it('lets a cursor win', () => {
    expect(parseFrom({ after: 'x', since: 'nonsense' }, 0)).toEqual({ after: 'x' });
    expect(parseFrom({}, 0)).toBeUndefined();
  });
});

describe('duration', () => {
  it.each([
    ['30s', 30_000],
    ['30', 30_000],
    ['250ms', 250],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['PT30S', 30_000],
    ['PT0.5S', 500],
    ['P7D', 604_800_000],
    ['P2W', 1_209_600_000],
    ['P1DT2H3M4S', 93_784_000],
  ])('%s', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  it.each([
    '',
    '-1s',
    '1e9s',
    's',
    '1w',
    'Infinity',
    ' 1s',
    'P',
    'PT',
    'P1DT',
    'P1Y',
    'P1M',
    'p1d',
    'PT1S ',
    'P1W1D',
  ])('refuses %j', (text) => {
    expect(parseDurationMs(text)).toBeUndefined();
  });

  it.each(['999999999999d', '104249992d'])('takes %s for the longest that is exact', (text) => {
    expect(parseDurationMs(text)).toBe(Number.MAX_SAFE_INTEGER);
    expect(parseSince(`-${text}`, 1_000)).toEqual({ kind: 'time', timeMs: 1_000 - Number.MAX_SAFE_INTEGER });
  });
});
