import { EverywireError } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import { problemHeaders } from '../../src/http/problem.ts';

const retryAfterOf = (error: EverywireError): unknown => problemHeaders(error, 2_000)['Retry-After'];

describe('Retry-After', () => {
  it('differs between refused clients, and is at most twice the least', () => {
    const told = Array.from({ length: 9 }, () => retryAfterOf(new EverywireError('going_away', 'Bye.')));
    expect([...new Set(told)].sort()).toEqual([2, 3, 4]);
  });

  it('is the time in the refusal, in whole seconds', () => {
    const told = Array.from({ length: 3 }, () =>
      retryAfterOf(new EverywireError('rate_limited', 'Slow down.', { retryAfterMs: 1_200 })),
    );
    expect(told).toEqual([2, 2, 2]);
  });

  it('is not there where coming back is no use', () => {
    expect(retryAfterOf(new EverywireError('forbidden', 'No.'))).toBeUndefined();
  });
});
