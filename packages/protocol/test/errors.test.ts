import { describe, expect, it } from 'vitest';
import { errorTable, EverywireError, toEverywireError } from '../src/index.ts';

describe('error table', () => {
  it.each(Object.entries(errorTable))('%s has codes that each protocol allows', (_code, row) => {
    expect(row.http).toBeGreaterThanOrEqual(400);
    expect(row.http).toBeLessThan(600);
    // RFC 6455 §7.4: sent close codes are registered ones, or 4000–4999; ours end at 4099.
    expect(
      [1001, 1002, 1003, 1008, 1009, 1011, 1013].includes(row.close) ||
        (row.close >= 4000 && row.close <= 4099),
    ).toBe(true);
    expect(row.mqtt).toBeGreaterThanOrEqual(0x80);
    expect(row.grpc).toBeGreaterThan(0);
    expect(row.grpc).toBeLessThanOrEqual(16);
  });

  it('tells by the range of the close code whether to come back with the cursor', () => {
    for (const row of Object.values(errorTable)) {
      if (row.close >= 4050) expect(['never', 'without-cursor']).toContain(row.comeBack);
      if (row.close >= 4000 && row.close < 4050) expect(['at-once', 'by-cursor']).toContain(row.comeBack);
    }
  });

  it('shows a peer nothing of an internal error', () => {
    const error = toEverywireError(new Error('ENOENT: /secret/path'));
    expect(error.code).toBe('internal');
    expect(error.message).not.toContain('secret');
    const refusal = new EverywireError('conflict', 'x');
    expect(toEverywireError(refusal)).toBe(refusal);
  });
});
