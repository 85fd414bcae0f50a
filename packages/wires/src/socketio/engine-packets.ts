/**
 * Packets of Engine.IO 4 (its protocol document, "Encoding"): a digit, then the rest as text. A binary message has no
 * digit over WebSocket, and is `b` with base64 in a payload of HTTP polling, where U+001E separates packets.
 */

/** Separates packets in a payload. */
export const separator = '\x1e';

export const packets = {
  close: '1',
  ping: '2',
  pong: '3',
  message: '4',
  upgrade: '5',
  noop: '6',
  probe: '2probe',
  probed: '3probe',
} as const;

/** A packet of a client. */
export type EnginePacket =
  | { readonly kind: 'close' | 'pong' | 'noop' | 'probe' | 'upgrade' }
  | { readonly kind: 'message'; readonly data: string | Buffer };

/** The server's handshake: the payload of its first packet (protocol document, "Handshake"). */
export interface EngineHandshake {
  readonly sid: string;
  readonly upgrades: readonly string[];
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly payloadBytesMax: number;
}

/** A packet of a server. */
export type ServerEnginePacket =
  | { readonly kind: 'open'; readonly handshake: EngineHandshake }
  | { readonly kind: 'close' | 'ping' | 'noop' | 'probed' }
  | { readonly kind: 'message'; readonly data: string | Buffer };

// Not in groups of four: a long text would have too many groups for the stack of the matcher.
const base64Shape = /^[A-Za-z0-9+/]*(={0,2})$/;

/** Reads one text packet of a client. `undefined`: clients send no such packet. */
export function parsePacket(text: string): EnginePacket | undefined {
  switch (text.charAt(0)) {
    case '1':
      return text.length === 1 ? { kind: 'close' } : undefined;
    case '2':
      // In version 4 the server pings; a client pings only to test a WebSocket.
      return text === packets.probe ? { kind: 'probe' } : undefined;
    case '3':
      return { kind: 'pong' };
    case '4':
      return { kind: 'message', data: text.slice(1) };
    case '5':
      return text.length === 1 ? { kind: 'upgrade' } : undefined;
    case '6':
      return text.length === 1 ? { kind: 'noop' } : undefined;
    default:
      return undefined;
  }
}

/** Reads one text packet of a server. `undefined`: servers send no such packet. */
export function parseServerPacket(text: string): ServerEnginePacket | undefined {
  switch (text.charAt(0)) {
    case '0': {
      const handshake = parseHandshake(text.slice(1));
      return handshake && { kind: 'open', handshake };
    }
    case '1':
      return text.length === 1 ? { kind: 'close' } : undefined;
    case '2':
      return { kind: 'ping' };
    case '3':
      return text === packets.probed ? { kind: 'probed' } : undefined;
    case '4':
      return { kind: 'message', data: text.slice(1) };
    case '6':
      return text.length === 1 ? { kind: 'noop' } : undefined;
    default:
      return undefined;
  }
}

/** The server's first packet. */
export function openPacket(handshake: EngineHandshake): string {
  const { sid, upgrades, pingIntervalMs, pingTimeoutMs, payloadBytesMax } = handshake;
  return `0${JSON.stringify({
    sid,
    upgrades,
    pingInterval: pingIntervalMs,
    pingTimeout: pingTimeoutMs,
    maxPayload: payloadBytesMax,
  })}`;
}

function parseHandshake(text: string): EngineHandshake | undefined {
  const told = parseObject(text);
  if (told === undefined) return undefined;
  const { sid, upgrades, pingInterval, pingTimeout, maxPayload } = told;
  if (typeof sid !== 'string' || !isCount(pingInterval) || !isCount(pingTimeout)) return undefined;
  return {
    sid,
    upgrades: Array.isArray(upgrades) ? upgrades.filter((one) => typeof one === 'string') : [],
    pingIntervalMs: pingInterval,
    pingTimeoutMs: pingTimeout,
    // Servers before 6.1 do not send it.
    payloadBytesMax: isCount(maxPayload) ? maxPayload : Infinity,
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && value >= 0;
}

/** Reads the body of a client's POST: all of its packets, or `undefined` when one of them is malformed. */
export function parsePayload(text: string): readonly EnginePacket[] | undefined {
  return parsePieces(text, parsePacket);
}

/** Reads the body of the answer to a client's GET: all of its packets, or `undefined` when one of them is malformed. */
export function parseServerPayload(text: string): readonly ServerEnginePacket[] | undefined {
  return parsePieces(text, parseServerPacket);
}

function parsePieces<Packet>(
  text: string,
  parse: (piece: string) => Packet | undefined,
): readonly (Packet | BinaryMessage)[] | undefined {
  const found: (Packet | BinaryMessage)[] = [];
  for (const piece of text.split(separator)) {
    const packet = piece.startsWith('b') ? parseBase64(piece.slice(1)) : parse(piece);
    if (packet === undefined) return undefined;
    found.push(packet);
  }
  return found;
}

interface BinaryMessage {
  readonly kind: 'message';
  readonly data: Buffer;
}

/** A binary message as a packet of a payload. */
export function base64Packet(data: Buffer): string {
  return `b${data.toString('base64')}`;
}

function parseBase64(text: string): BinaryMessage | undefined {
  const padding = base64Shape.exec(text)?.[1]?.length;
  if (padding === undefined || (padding > 0 ? text.length % 4 !== 0 : text.length % 4 === 1))
    return undefined;
  return { kind: 'message', data: Buffer.from(text, 'base64') };
}
