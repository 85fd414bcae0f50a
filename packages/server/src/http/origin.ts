import type { IncomingHttpHeaders } from 'node:http';

/** The parts of a request that tell its origin. */
export interface OriginRequest {
  readonly headers: IncomingHttpHeaders;
  /** Whether the connection is encrypted is asked of it; absent: it is not. */
  readonly socket?: object;
}

/**
 * Whether the sender of this request may use the server: programs, which send no Origin; pages of this server; and
 * pages of the origins listed. A browser always sends the origin of a page (RFC 6454 §7), so another page that is open
 * on this machine cannot reach a server on loopback (cross-site WebSocket hijacking, CSRF).
 */
export function isOriginAllowed(request: OriginRequest, allowed: ReadonlySet<string>): boolean {
  const { origin } = request.headers;
  return origin === undefined || allowed.has(origin) || isOwnOrigin(origin, request);
}

/**
 * Scheme, host and port make an origin (RFC 6454 §4). An attacker may have changed a page that came in clear text: it
 * is not a page of a server that speaks TLS. The other way round, TLS may have ended at a proxy in front; and Paho for
 * Python says https for every connection.
 */
function isOwnOrigin(origin: string, { headers, socket }: OriginRequest): boolean {
  const host = headers.host ?? headers[':authority'];
  if (typeof host !== 'string') return false;
  return origin === `https://${host}` || (origin === `http://${host}` && !isEncrypted(socket));
}

function isEncrypted(socket: object | undefined): boolean {
  return socket !== undefined && 'encrypted' in socket && socket.encrypted === true;
}
