/**
 * What a raw client sends to become a subscriber, and how it knows that it is one. Just enough of each protocol to
 * receive: the generator must stay much cheaper than the servers it loads.
 */
export interface Handshake {
  /** The HTTP request, in full. */
  readonly request: string;
  readonly status: 101 | 200;
  /** Sent once the response head is there. */
  readonly then?: Buffer | undefined;
  /** The subscription stands when this text has arrived so many times after the head; absent: with the head. */
  readonly ready?: { readonly text: string; readonly times: number } | undefined;
  /** What this wire wants as an answer to a ping found in `framing`. */
  readonly answerPing?: ((framing: Buffer) => Buffer | undefined) | undefined;
}

/** Where a request goes. */
export interface Place {
  /** With the port, as a browser would have it. */
  readonly host: string;
  readonly path: string;
}

export type WireName = 'websocket' | 'sse' | 'stream' | 'everywire.v1' | 'socketio' | 'bytes';

const maskBit = 0x80;
const textFrame = 0x81;
const pingFrame = 0x89;
const pongFrame = 0x8a;

/**
 * A client's WebSocket frame (RFC 6455 §5.2). The masking key is zero, so the payload needs no pass of its own:
 * servers unmask all the same.
 */
export function clientFrame(payload: string | Buffer, opcode = textFrame): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const head =
    body.length < 126 ? Buffer.alloc(6) : body.length < 65_536 ? Buffer.alloc(8) : Buffer.alloc(14);
  head[0] = opcode;
  if (body.length < 126) {
    head[1] = maskBit | body.length;
  } else if (body.length < 65_536) {
    head[1] = maskBit | 126;
    head.writeUInt16BE(body.length, 2);
  } else {
    head[1] = maskBit | 127;
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, body]);
}

export function upgradeRequest({ host, path }: Place, subprotocol?: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
    (subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`) +
    '\r\n'
  );
}

export function getRequest({ host, path }: Place, accept: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\n\r\n`;
}

/** The handshake of `wire` at `place`; for `everywire.v1`, subscribing to each of `channels`. */
export function handshakeOf(wire: WireName, place: Place, channels: readonly string[] = []): Handshake {
  switch (wire) {
    case 'websocket':
      return { request: upgradeRequest(place), status: 101, answerPing: answerWebSocketPing };
    case 'sse':
      return { request: getRequest(place, 'text/event-stream'), status: 200 };
    case 'stream':
      return { request: getRequest(place, 'application/x-ndjson'), status: 200 };
    case 'bytes':
      return { request: getRequest(place, '*/*'), status: 200 };
    case 'everywire.v1':
      return {
        request: upgradeRequest(place, 'everywire.v1'),
        status: 101,
        then: Buffer.concat(
          channels.map((channel, i) => clientFrame(JSON.stringify({ id: i + 1, op: 'subscribe', channel }))),
        ),
        ready: { text: '"ok":true', times: channels.length },
        answerPing: answerWebSocketPing,
      };
    case 'socketio':
      // Engine.IO 4 opens by itself; `40` joins the main namespace and is answered `40{"sid":…}`.
      return {
        request: upgradeRequest({ ...place, path: `${place.path}?EIO=4&transport=websocket` }),
        status: 101,
        then: clientFrame('40'),
        ready: { text: '40{"sid"', times: 1 },
        answerPing: answerEngineIoPing,
      };
  }
}

/** The Pong for a Ping in these bytes (RFC 6455 §5.5.2). One too many does no harm: unasked Pongs are allowed. */
function answerWebSocketPing(framing: Buffer): Buffer | undefined {
  const at = framing.indexOf(pingFrame);
  if (at < 0 || at + 1 >= framing.length) return undefined;
  const length = framing[at + 1]! & 0x7f;
  if (length > 125 || at + 2 + length > framing.length) return undefined;
  return clientFrame(framing.subarray(at + 2, at + 2 + length), pongFrame);
}

const engineIoPing = Buffer.from([textFrame, 1, 0x32]);

function answerEngineIoPing(framing: Buffer): Buffer | undefined {
  return framing.includes(engineIoPing) ? clientFrame('3') : answerWebSocketPing(framing);
}
