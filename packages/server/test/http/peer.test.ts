import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { lookBehindProxy, peerOf } from '../../src/http/peer.ts';
import { trustedProxies } from '../../src/net/trusted-proxies.ts';

const isProxy = trustedProxies(['10.0.0.0/8', '2001:db8::1']);

function request(remoteAddress: string, forwarded?: string, socket: object = {}): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { headers, socket: Object.assign(socket, { remoteAddress }) } as unknown as IncomingMessage;
}

function addressOf(remoteAddress: string, forwarded?: string): string | undefined {
  const asked = request(remoteAddress, forwarded);
  lookBehindProxy(asked, isProxy);
  return peerOf(asked).address;
}

describe('the peer of a request', () => {
  it.each([
    ['is the connecting address', '192.0.2.7', undefined, '192.0.2.7'],
    ['is the connecting address, with any X-Forwarded-For', '192.0.2.7', '203.0.113.9', '192.0.2.7'],
    ['is the address that a proxy names', '10.0.0.1', '203.0.113.9', '203.0.113.9'],
    [
      'is the last one named, as what is before that could be anybody’s',
      '10.0.0.1',
      '1.1.1.1, 203.0.113.9',
      '203.0.113.9',
    ],
    ['is the last one that is no proxy', '10.0.0.1', '1.1.1.1,203.0.113.9, 10.0.0.2,10.9.9.9', '203.0.113.9'],
    ['may have IPv6', '2001:db8::1', '2001:db8::2', '2001:db8::2'],
    ['may have a port', '10.0.0.1', '203.0.113.9:4711', '203.0.113.9'],
    ['may have IPv6 and a port', '10.0.0.1', '[2001:db8::2]:4711', '2001:db8::2'],
    ['is the proxy when it names no address', '10.0.0.1', undefined, '10.0.0.1'],
    ['is the proxy when it names an invalid address', '10.0.0.1', 'unknown', '10.0.0.1'],
    [
      'is the nearest proxy that is known when the next is not an address',
      '10.0.0.1',
      '1.1.1.1, x, 10.0.0.2',
      '10.0.0.2',
    ],
    ['is the farthest proxy when there are only proxies', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
  ])('%s', (_what, remoteAddress, forwarded, expected) => {
    expect(addressOf(remoteAddress, forwarded)).toBe(expected);
  });

  it('has one count for all requests of its connection', () => {
    const socket = {};
    const first = peerOf(request('192.0.2.7', undefined, socket)).counted;
    expect(first).toBeDefined();
    expect(peerOf(request('192.0.2.7', undefined, socket)).counted).toBe(first);
    expect(peerOf(request('192.0.2.7')).counted).not.toBe(first);
  });

  it('is not counted by the connection of a proxy, which others share', () => {
    const asked = request('10.0.0.1', '203.0.113.9');
    lookBehindProxy(asked, isProxy);
    expect(peerOf(asked).counted).toBeUndefined();
  });
});
