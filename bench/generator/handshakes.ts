import { everywireProtocol, writeCommand } from '@everywire/protocol/everywire-v1';
import { connectPacket, eventPacket, packets } from '@everywire/wires/socketio';
import {
  frame,
  FrameReader,
  maskedFrame,
  opcodes,
  upgradeHeaders,
  type Opcode,
} from '@everywire/wires/websocket';
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
  /** Of the HTTP response that comes before anything else; absent if the wire is not HTTP. */
  readonly status?: 101 | 200 | undefined;
  /** Sent once the response head is there. */
  readonly then?: Buffer | undefined;
  /** The subscription is ready when this text, of bytes as Latin-1, has arrived so many times after the head; absent: with the head. */
  readonly ready?: { readonly text: string; readonly times: number } | undefined;
  /** Takes the payloads' bytes out of what arrives, in order; absent where framing never cuts a payload. */
  readonly content?: ((bytes: Buffer) => Buffer) | undefined;
  /** What this wire wants as an answer to a ping found in `framing`. */
  readonly answerPing?: ((framing: Buffer) => Buffer | undefined) | undefined;
  /** Reads everything that arrives, in order, and returns what this wire wants as an answer: its acknowledgements. */
  readonly acknowledge?: ((bytes: Buffer) => Buffer | undefined) | undefined;
}

/** Where a request goes, and the client's name. */
export interface Place {
  /** With the port, as a browser would have it. */
  readonly host: string;
  readonly path: string;
  /** The connection's own name, where the wire wants one. */
  readonly clientName: string;
  /** Shown at the handshake, where the server asks for one: HTTP's and MQTT's ways are known here. */
  readonly token?: string | undefined;
  /** Starts a durable session of that name with a subscription, or returns to it. Absent: no durable session. */
  readonly session?: SessionPhase | undefined;
}

export type SessionPhase = 'begin' | 'return';

export type WireName =
  'websocket' | 'sse' | 'stream' | 'everywire.v1' | 'socketio' | 'mqtt' | 'stomp' | 'grpc' | 'bytes';

/** A key that shows nothing: the generator does not check the answer to it. */
const anyKey = 'dGhlIHNhbXBsZSBub25jZQ==';
/** With it masking costs nothing here, and servers unmask all the same. */
const noMask = 0;
/** The beginning of a Ping without fragments (RFC 6455 §5.2). */
const pingByte = 0x80 | opcodes.ping;
const readerLimits = { messageBytesMax: 1_000_000, fragmentsMax: 1_000 };

/** A client's WebSocket frame. */
export function clientFrame(payload: string | Buffer, opcode: Opcode = opcodes.text): Buffer {
  return maskedFrame(opcode, payload, noMask);
}

/** Reads what a server sends in frames. */
export function serverFrames(): FrameReader {
  return new FrameReader(readerLimits, 'client');
}

type Requested = Pick<Place, 'host' | 'path' | 'token'>;

export function upgradeRequest({ host, path, token }: Requested, subprotocol?: string): string {
  const fields = Object.entries(upgradeHeaders(anyKey, subprotocol === undefined ? [] : [subprotocol]));
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${authorization(token)}` +
    `${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
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
        request: upgradeRequest(place, everywireProtocol),
        status: 101,
        then: Buffer.concat(channels.map((channel, i) => clientFrame(subscribeCommand(channel, i + 1)))),
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

function subscribeCommand(channel: string, id: number): string {
  return writeCommand({ op: 'subscribe', id: String(id), channel, after: undefined, since: undefined });
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
    then: clientFrame(packets.message + connectPacket('/')),
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
      const items = [JSON.stringify('subscribe'), JSON.stringify(channel)];
      return clientFrame(packets.message + eventPacket('/', items, { id: 0 }));
    },
  };
}

/** The Pong for a Ping in these bytes (RFC 6455 §5.5.2). One too many does no harm: unasked Pongs are allowed. */
function answerWebSocketPing(framing: Buffer): Buffer | undefined {
  const at = framing.indexOf(pingByte);
  if (at < 0) return undefined;
  const reader = serverFrames();
  reader.push(framing.subarray(at));
  const received = reader.next();
  return received?.kind === 'ping' ? clientFrame(received.payload, opcodes.pong) : undefined;
}

const engineIoPing = frame(opcodes.text, Buffer.from(packets.ping));

function answerEngineIoPing(framing: Buffer): Buffer | undefined {
  return framing.includes(engineIoPing) ? clientFrame(packets.pong) : answerWebSocketPing(framing);
}
