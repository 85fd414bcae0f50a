/**
 * Packets of Engine.IO 4 (its protocol document, "Encoding"): a digit, then the rest as text; a binary message is bare
 * bytes over WebSocket, and `b` with base64 in a payload of HTTP polling, where packets are parted by U+001E.
 */

/** Parts packets in a payload. */
export const separator = '\x1e';

export const packets = {
  close: '1',
  ping: '2',
  pong: '3',
  message: '4',
  noop: '6',
  probe: '2probe',
  probed: '3probe',
} as const;

export type EnginePacket =
  | { readonly kind: 'close' | 'pong' | 'noop' | 'probe' | 'upgrade' }
  | { readonly kind: 'message'; readonly data: string | Buffer };

const base64Shape = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/** Reads one packet that came as text. `undefined`: it is none that a client sends. */
export function parsePacket(text: string): EnginePacket | undefined {
  switch (text.charAt(0)) {
    case '1':
      return text.length === 1 ? { kind: 'close' } : undefined;
    case '2':
      // In version 4 it is the server that pings; a client does so to try a WebSocket.
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

/** Reads the body of a POST: all of its packets, or `undefined` when one of them is none. */
export function parsePayload(text: string): readonly EnginePacket[] | undefined {
  const found: EnginePacket[] = [];
  for (const piece of text.split(separator)) {
    const packet = piece.startsWith('b') ? parseBase64(piece.slice(1)) : parsePacket(piece);
    if (packet === undefined) return undefined;
    found.push(packet);
  }
  return found;
}

/** A binary message as a packet of a payload. */
export function base64Packet(data: Buffer): string {
  return `b${data.toString('base64')}`;
}

function parseBase64(text: string): EnginePacket | undefined {
  if (!base64Shape.test(text)) return undefined;
  return { kind: 'message', data: Buffer.from(text, 'base64') };
}
