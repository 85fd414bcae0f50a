import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { errorTable } from '../src/errors.ts';
import {
  backoffMs,
  comeBackAfter,
  isPassing,
  parseRetryAfterMs,
  retryAfterMsMax,
  type Ending,
} from '../src/retry.ts';

describe('the reaction to an ending', () => {
  it.each(Object.entries(errorTable))('%s: follows the table, for any number', (code, row) => {
    for (const ending of [{}, { httpStatus: row.http }, { closeCode: row.close }, { grpcStatus: 8 }]) {
      expect(comeBackAfter({ ...ending, code })).toBe(row.comeBack);
    }
  });

  it('promises no more by a number than the error that promises least', () => {
    for (const { http, close, mqtt, grpc, comeBack } of Object.values(errorTable)) {
      if (comeBack !== 'never') continue;
      for (const ending of [{ httpStatus: http }, { closeCode: close }, { grpcStatus: grpc }])
        expect(comeBackAfter(ending)).toBe('never');
      expect(isPassing({ mqttReason: mqtt })).toBe(false);
    }
  });

  it.each<[Ending, string]>([
    [{}, 'by-cursor'],
    [{ httpStatus: 429 }, 'later'],
    [{ httpStatus: 503 }, 'later'],
    [{ httpStatus: 507 }, 'later'],
    [{ httpStatus: 500 }, 'later'],
    [{ httpStatus: 502 }, 'later'],
    [{ httpStatus: 504 }, 'later'],
    [{ httpStatus: 522 }, 'later'],
    [{ httpStatus: 501 }, 'never'],
    [{ httpStatus: 301 }, 'never'],
    [{ httpStatus: 401 }, 'with-new-token'],
    [{ httpStatus: 403 }, 'never'],
    [{ httpStatus: 418 }, 'never'],
    [{ closeCode: 1000 }, 'by-cursor'],
    [{ closeCode: 1001 }, 'elsewhere'],
    [{ closeCode: 1002 }, 'never'],
    [{ closeCode: 1005 }, 'by-cursor'],
    [{ closeCode: 1006 }, 'by-cursor'],
    [{ closeCode: 1008 }, 'never'],
    [{ closeCode: 1008, code: 'unauthorized' }, 'with-new-token'],
    [{ closeCode: 1011 }, 'later'],
    [{ closeCode: 1012 }, 'later'],
    [{ closeCode: 1013 }, 'later'],
    [{ closeCode: 4000 }, 'at-once'],
    [{ closeCode: 4049 }, 'by-cursor'],
    [{ closeCode: 4051 }, 'without-cursor'],
    [{ closeCode: 4099 }, 'never'],
    [{ closeCode: 4100 }, 'by-cursor'],
    [{ mqttReason: 0x87 }, 'never'],
    [{ mqttReason: 0x88 }, 'later'],
    [{ mqttReason: 0x89 }, 'later'],
    [{ mqttReason: 0x8b }, 'elsewhere'],
    [{ mqttReason: 0x8d }, 'at-once'],
    [{ mqttReason: 0x96 }, 'later'],
    [{ mqttReason: 0x97 }, 'never'],
    [{ mqttReason: 0x97, code: 'store_full' }, 'later'],
    [{ mqttReason: 0x9f }, 'later'],
    [{ mqttReason: 0x84 }, 'never'],
    [{ grpcStatus: 14 }, 'later'],
    [{ grpcStatus: 8 }, 'never'],
    [{ grpcStatus: 8, code: 'rate_limited' }, 'later'],
    [{ grpcStatus: 16 }, 'with-new-token'],
    [{ grpcStatus: 2 }, 'never'],
    [{ code: 'of_a_newer_server' }, 'never'],
    [{ code: 'of_a_newer_server', httpStatus: 503 }, 'later'],
    [{ code: 'toString', closeCode: 1001 }, 'elsewhere'],
  ])('%j: %s', (ending, comeBack) => {
    expect(comeBackAfter(ending)).toBe(comeBack);
  });

  it('treats an error as temporary if the same attempt may succeed', () => {
    const passing = Object.entries(errorTable).filter(([code]) => isPassing({ code }));
    expect(passing.map(([code]) => code).sort()).toEqual([
      'going_away',
      'internal',
      'rate_limited',
      'slow_peer',
      'store_full',
      'store_unavailable',
      'timed_out',
    ]);
  });
});

describe('backoff', () => {
  const bounds = { minMs: 250, maxMs: 30_000 };

  it('is any time up to a bound that doubles, and never before the server asks', () => {
    const chance = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5_000 }),
        chance,
        fc.nat(100_000),
        (failures, random, askedMs) => {
          const waitMs = backoffMs(failures, () => random, bounds, askedMs);
          expect(waitMs).toBeGreaterThanOrEqual(askedMs);
          expect(waitMs - askedMs).toBeLessThanOrEqual(Math.min(30_000, 250 * 2 ** (failures - 1)));
        },
      ),
    );
    expect([1, 2, 3, 7, 8, 9].map((failures) => backoffMs(failures, () => 1, bounds))).toEqual([
      250, 500, 1_000, 16_000, 30_000, 30_000,
    ]);
  });
});

describe('Retry-After', () => {
  it.each([
    ['120', 120_000],
    ['0', 0],
    [' 7 ', 7_000],
    ['99999999999', retryAfterMsMax],
    ['Sat, 21 Nov 2026 09:00:30 GMT', 30_000],
    ['Sat, 21 Nov 2026 08:00:00 GMT', 0],
    ['Saturday, 21-Nov-26 09:00:30 GMT', 30_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Sat Nov 21 09:00:30 2026', 30_000],
    ['Sun Nov  1 09:00:30 2026', 0],
    ['Sat Nov 31 99:00:30 2026', undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['soon', undefined],
    ['2026-11-21', undefined],
    [undefined, undefined],
  ])('Retry-After: %s', (text, expected) => {
    expect(parseRetryAfterMs(text, Date.parse('2026-11-21T09:00:00Z'))).toBe(expected);
  });
});
