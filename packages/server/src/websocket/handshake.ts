import { EverywireError } from '@everywire/protocol';
import { acceptKeyOf, webSocketVersion } from '@everywire/wires/websocket';
import type { IncomingMessage } from 'node:http';
import { isOriginAllowed, originRefusal, type OriginRequest, type Origins } from '../http/origin.ts';
import { HttpRefusal } from '../http/problem.ts';

/** The parts of a request that the handshake check needs. */
export type HandshakeRequest = Pick<IncomingMessage, 'method' | 'httpVersion' | 'headers'> & OriginRequest;

export interface HandshakeRules {
  /** Origins whose pages may connect, beside this server's own; absent: any. */
  readonly allowedOrigins?: Origins | undefined;
  /** Subprotocols of this server, best first; absent: none is ever selected. */
  readonly protocols?: readonly string[] | undefined;
  /** Whether the peer must offer one of them. */
  readonly isProtocolRequired?: boolean | undefined;
}

export interface Handshake {
  /** For `Sec-WebSocket-Accept`. */
  readonly acceptKey: string;
  /** The value of `Sec-WebSocket-Protocol`; `undefined`: no such header. */
  readonly protocol: string | undefined;
}

/** 16 bytes in base64 (§4.1). */
const keyShape = /^[A-Za-z0-9+/]{22}==$/;
/** A token of RFC 9110 §5.6.2. */
const tokenShape = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Checks an opening handshake (RFC 6455 §4.2.1). The answer names no extensions, which declines all of them (§9.1),
 * also permessage-deflate: a frame shared by a thousand sockets cannot be compressed for each.
 */
export function checkHandshake(
  request: HandshakeRequest,
  rules: HandshakeRules = {},
): Handshake | EverywireError {
  const { headers } = request;
  if (request.method !== 'GET') {
    return refuse('unsupported', 'A WebSocket handshake must be a GET request.', 405, { Allow: 'GET' });
  }
  if (Number(request.httpVersion) < 1.1)
    return refuse('malformed', 'A WebSocket handshake needs HTTP/1.1 or newer.');
  if (!hasToken(headers.upgrade, 'websocket') || !hasToken(headers.connection, 'upgrade')) {
    return refuse('malformed', 'A WebSocket handshake needs Upgrade: websocket and Connection: Upgrade.');
  }
  // The server would read a body as frames.
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? '0') !== 0) {
    return refuse('malformed', 'A WebSocket handshake must not have a body.');
  }
  if (headers['sec-websocket-version'] !== webSocketVersion) {
    return refuse('unsupported', 'Only version 13 of the protocol is supported (RFC 6455).', 426, {
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': webSocketVersion,
    });
  }
  const key = headers['sec-websocket-key'];
  if (key === undefined || !keyShape.test(key)) {
    return refuse('malformed', 'The handshake must have one Sec-WebSocket-Key of 16 bytes in base64.');
  }
  if (rules.allowedOrigins !== undefined && !isOriginAllowed(request, rules.allowedOrigins)) {
    return originRefusal(request, rules.allowedOrigins);
  }
  const protocol = selectProtocol(headers['sec-websocket-protocol'], rules);
  if (protocol instanceof EverywireError) return protocol;
  return { acceptKey: acceptKeyOf(key), protocol };
}

/** The 101 (§4.2.2), with further `headers`. */
export function acceptance(handshake: Handshake, headers: Readonly<Record<string, string>> = {}): string {
  const more = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return (
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    `Sec-WebSocket-Accept: ${handshake.acceptKey}\r\n` +
    (handshake.protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${handshake.protocol}\r\n`) +
    `${more.join('')}\r\n`
  );
}

/**
 * Refuses an offer without a known subprotocol. A server may also answer without the header (§4.2.2), but a 400 shows
 * the reason, and a browser would only show a closed socket.
 */
function selectProtocol(
  offer: string | undefined,
  { protocols, isProtocolRequired }: HandshakeRules,
): string | undefined | EverywireError {
  if (offer === undefined) {
    return isProtocolRequired === true
      ? new EverywireError('malformed', `Offer one of the subprotocols ${(protocols ?? []).join(', ')}.`)
      : undefined;
  }
  const offered = offer.split(',').map((one) => one.trim());
  if (new Set(offered).size !== offered.length || !offered.every((one) => tokenShape.test(one))) {
    return new EverywireError('malformed', 'Sec-WebSocket-Protocol must be a list of different tokens.');
  }
  if (protocols === undefined) return undefined;
  return (
    protocols.find((one) => offered.includes(one)) ??
    new EverywireError('malformed', `The supported subprotocol is ${protocols.join(', ')}.`)
  );
}

function hasToken(header: string | undefined, token: string): boolean {
  return (header ?? '').split(',').some((one) => one.trim().toLowerCase() === token);
}

function refuse(
  code: 'malformed' | 'unsupported',
  detail: string,
  httpStatus?: number,
  headers?: Readonly<Record<string, string>>,
): HttpRefusal {
  return new HttpRefusal(code, detail, {
    ...(httpStatus === undefined ? {} : { httpStatus }),
    ...(headers === undefined ? {} : { headers }),
  });
}
