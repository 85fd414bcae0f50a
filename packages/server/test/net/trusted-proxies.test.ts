import { describe, expect, it } from 'vitest';
import { trustedProxies } from '../../src/net/trusted-proxies.ts';

describe('trusted proxies', () => {
  it.each([
    [['192.0.2.1'], '192.0.2.1', true],
    [['192.0.2.1'], '192.0.2.2', false],
    [['192.0.2.1'], '::ffff:192.0.2.1', true],
    [['10.0.0.0/8'], '10.255.0.1', true],
    [['10.0.0.0/8'], '11.0.0.1', false],
    [['0.0.0.0/0'], '203.0.113.9', true],
    [['2001:db8::/32'], '2001:db8:1::1', true],
    [['2001:db8::/32'], '2001:db9::1', false],
    [['10.0.0.0/8', '::1'], '::1', true],
    [[], '127.0.0.1', false],
    [['10.0.0.0/8'], undefined, false],
    [['10.0.0.0/8'], 'unknown', false],
  ])('%j of %s: %s', (entries, address, expected) => {
    expect(trustedProxies(entries)(address)).toBe(expected);
  });

  it.each([
    'proxy.example',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::/129',
    '10.0.0',
    '',
    '10.0.0.0/-1',
  ])('are not %j', (entry) => {
    expect(() => trustedProxies([entry])).toThrow(`"${entry}" is not an address or network`);
  });
});
