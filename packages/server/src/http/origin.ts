import type { IncomingHttpHeaders } from 'node:http';

/** The parts of a request that tell its origin. */
export interface OriginRequest {
  readonly headers: IncomingHttpHeaders;
  /** Shows whether the connection is encrypted; absent: it is not. */
  readonly socket?: object;
}

/**
 * Whether the sender of this request may use the server. Allowed are programs, which send no Origin; pages of this
 * server; and pages of the listed origins. A browser always sends the origin of a page (RFC 6454 §7), so another open
 * page on this machine cannot reach a server on loopback (cross-site WebSocket hijacking, CSRF).
 */
export function isOriginAllowed(request: OriginRequest, allowed: ReadonlySet<string>): boolean {
  const { origin } = request.headers;
  return origin === undefined || allowed.has(origin) || isOwnOrigin(origin, request);
}

/**
 * Scheme, host and port make an origin (RFC 6454 §4). An attacker may have changed a page that came in clear text, so
 * such a page is not from a TLS server. The opposite is allowed: TLS may end at a proxy in front, and Paho for Python
 * sends https for every connection.
 */
function isOwnOrigin(origin: string, { headers, socket }: OriginRequest): boolean {
  const host = headers.host ?? headers[':authority'];
  if (typeof host !== 'string') return false;
  return origin === `https://${host}` || (origin === `http://${host}` && !isEncrypted(socket));
}

function isEncrypted(socket: object | undefined): boolean {
  return socket !== undefined && 'encrypted' in socket && socket.encrypted === true;
}
