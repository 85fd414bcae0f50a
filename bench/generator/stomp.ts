import { encodeFrame } from '@everywire/wires/stomp';
import { clientFrame, upgradeRequest, type Handshake, type Place } from './handshakes.ts';

/**
 * STOMP 1.2 over WebSocket, as browsers speak it. `path` is where, and behind a `#` the destination; both frames leave
 * at once, and the receipt says that the subscription is ready.
 */
export function stompHandshake(place: Place, answerPing: Handshake['answerPing']): Handshake {
  const [path, destination] = place.path.split('#') as [string, string];
  const subscribe = stompFrame('SUBSCRIBE', { id: 'sub-0', destination, receipt: 'ready' });
  return {
    request: upgradeRequest({ ...place, path }, 'v12.stomp'),
    status: 101,
    then: Buffer.concat([clientFrame(stompConnect), clientFrame(subscribe)]),
    ready: { text: 'receipt-id:ready', times: 1 },
    answerPing,
  };
}

/** A frame of a client; `content-length` is left out, as the payloads of a run have no NUL. */
export function stompFrame(command: string, headers: Readonly<Record<string, string>>, body = ''): Buffer {
  return encodeFrame(command, Object.entries(headers), '1.2', body);
}

export const stompConnect = stompFrame('CONNECT', {
  'accept-version': '1.2',
  host: '/',
  login: 'guest',
  passcode: 'guest',
});
