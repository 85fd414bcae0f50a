import type { IncomingHttpHeaders } from 'node:http';

/** What the origin of a request is judged by. */
export interface OriginRequest {
  readonly headers: IncomingHttpHeaders;
  /** Whether the connection is encrypted is asked of it; absent: it is not. */
  readonly socket?: object;
}

/**
 * Whether whoever sends this request may use the server: programs, which send no Origin; pages of this server; and
 * pages of the origins listed. A browser always tells where a page comes from (RFC 6454 §7), so any other page that
 * somebody on this machine happens to open cannot reach a server on loopback (cross-site WebSocket hijacking, CSRF).
 */
export function isOriginAllowed(request: OriginRequest, allowed: ReadonlySet<string>): boolean {
  const { origin } = request.headers;
  return origin === undefined || allowed.has(origin) || isOwnOrigin(origin, request);
}

/**
 * Scheme, host and port make an origin (RFC 6454 §4), and a page that came in clear text may be anybody's: it is none of a
 * server's own that speaks TLS. The other way round, TLS may have ended at a proxy in front; and Paho for Python says https
 * whatever it speaks.
 */
function isOwnOrigin(origin: string, { headers, socket }: OriginRequest): boolean {
  const host = headers.host ?? headers[':authority'];
  if (typeof host !== 'string') return false;
  return origin === `https://${host}` || (origin === `http://${host}` && !isEncrypted(socket));
}

function isEncrypted(socket: object | undefined): boolean {
  return socket !== undefined && 'encrypted' in socket && socket.encrypted === true;
}
