import { grpcHandshake } from './grpc.ts';
import { mqttHandshake } from './mqtt.ts';
import { stompHandshake } from './stomp.ts';

/**
 * What a raw client sends to become a subscriber, and how it knows that it is one. Just enough of each protocol to
 * receive: the generator must stay much cheaper than the servers it loads.
 */
export interface Handshake {
  /** What opens the connection: an HTTP request in full, or a protocol's own first bytes. */
  readonly request: string | Buffer;
  /** Of the HTTP response that comes before anything else; absent where there is none. */
  readonly status?: 101 | 200 | undefined;
  /** Sent once the response head is there. */
  readonly then?: Buffer | undefined;
  /** The subscription stands when this text, of bytes as Latin-1, has arrived so many times after the head; absent: with the head. */
  readonly ready?: { readonly text: string; readonly times: number } | undefined;
  /** What this wire wants as an answer to a ping found in `framing`. */
  readonly answerPing?: ((framing: Buffer) => Buffer | undefined) | undefined;
  /** Reads everything that arrives, in order, and returns what this wire wants as an answer: its acknowledgements. */
  readonly acknowledge?: ((bytes: Buffer) => Buffer | undefined) | undefined;
}

/** Where a request goes, and who asks. */
export interface Place {
  /** With the port, as a browser would have it. */
  readonly host: string;
  readonly path: string;
  /** The connection's own name, where the wire wants one. */
  readonly clientName: string;
  /** Shown at the handshake, where the server asks for one: HTTP's and MQTT's ways are known here. */
  readonly token?: string | undefined;
  /** A durable session of that name: begun with a subscription, or returned to. Absent: none. */
  readonly session?: SessionPhase | undefined;
}

export type SessionPhase = 'begin' | 'return';

export type WireName =
  'websocket' | 'sse' | 'stream' | 'everywire.v1' | 'socketio' | 'mqtt' | 'stomp' | 'grpc' | 'bytes';

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

type Requested = Pick<Place, 'host' | 'path' | 'token'>;

export function upgradeRequest({ host, path, token }: Requested, subprotocol?: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    authorization(token) +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
    (subprotocol === undefined ? '' : `Sec-WebSocket-Protocol: ${subprotocol}\r\n`) +
    '\r\n'
  );
}

export function getRequest({ host, path, token }: Requested, accept: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\n${authorization(token)}\r\n`;
}

function authorization(token: string | undefined): string {
  return token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
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
      return socketIoHandshake(place);
    case 'mqtt':
      return mqttHandshake(place);
    case 'grpc':
      return grpcHandshake(place);
    case 'stomp':
      return stompHandshake(place, answerWebSocketPing);
  }
}

const connected = '40{"sid"';

/**
 * Engine.IO 4 opens by itself; `40` joins the main namespace and is answered `40{"sid":…}`. What follows a `#` in the path
 * is the channel to subscribe to, which comes only then; a server that sends to everyone needs none.
 */
function socketIoHandshake(place: Place): Handshake {
  const [path, channel] = place.path.split('#') as [string, string?];
  const handshake: Handshake = {
    request: upgradeRequest({ ...place, path: `${path}?EIO=4&transport=websocket` }),
    status: 101,
    then: clientFrame('40'),
    ready: { text: connected, times: 1 },
    answerPing: answerEngineIoPing,
  };
  if (channel === undefined) return handshake;
  let hasAsked = false;
  return {
    ...handshake,
    ready: { text: '430[{"ok":true', times: 1 },
    acknowledge: (bytes) => {
      if (hasAsked || !bytes.includes(connected)) return undefined;
      hasAsked = true;
      return clientFrame(`420["subscribe",${JSON.stringify(channel)}]`);
    },
  };
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
