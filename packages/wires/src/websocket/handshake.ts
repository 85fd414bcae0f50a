import { hash } from 'node:crypto';

/** The only version of the protocol (RFC 6455 §4.1). */
export const webSocketVersion = '13';

/** RFC 6455 §1.3: the answer shows that the server understood the request. */
const acceptSalt = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** `Sec-WebSocket-Accept` for the request's `Sec-WebSocket-Key` (§4.2.2). */
export function acceptKeyOf(key: string): string {
  return hash('sha1', key + acceptSalt, 'base64');
}

/** Header fields of a client's opening handshake (§4.1). `key` is 16 random bytes in base64, new for each connection. */
export function upgradeHeaders(key: string, protocols: readonly string[] = []): Record<string, string> {
  return {
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': webSocketVersion,
    'Sec-WebSocket-Key': key,
    ...(protocols.length === 0 ? {} : { 'Sec-WebSocket-Protocol': protocols.join(', ') }),
  };
}
