import { EverywireError } from '@everywire/protocol';
import { expect, test } from 'vitest';
import { acceptance, checkHandshake, type HandshakeRules } from '../../src/websocket/handshake.ts';

// What arrives over a socket is in test/interop/bad-input-websocket; here is what no transport asks for yet.
function check(offer: string | undefined, rules: HandshakeRules): string {
  const result = checkHandshake(
    {
      method: 'GET',
      httpVersion: '1.1',
      headers: {
        upgrade: 'websocket',
        connection: 'Upgrade',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...(offer === undefined ? {} : { 'sec-websocket-protocol': offer }),
      },
    },
    rules,
  );
  return result instanceof EverywireError ? `${result.httpStatus}` : acceptance(result);
}

test('a subprotocol that is required must be offered [MQTT-6.0.0-3]', () => {
  const rules = { protocols: ['mqtt'], isProtocolRequired: true };
  expect(check(undefined, rules)).toBe('400');
  expect(check('chat', rules)).toBe('400');
  expect(check('chat, mqtt', rules)).toContain('\r\nSec-WebSocket-Protocol: mqtt\r\n');
});

test('of several the server prefers its own order', () => {
  const rules = { protocols: ['v12.stomp', 'v11.stomp', 'v10.stomp'] };
  expect(check('v10.stomp, v11.stomp', rules)).toContain('\r\nSec-WebSocket-Protocol: v11.stomp\r\n');
  expect(check(undefined, rules)).not.toContain('Sec-WebSocket-Protocol');
});
