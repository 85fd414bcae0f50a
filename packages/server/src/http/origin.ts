import type { IncomingHttpHeaders } from 'node:http';

/**
 * Whether whoever sends these headers may use the server: programs, which send no Origin; pages of this server; and
 * pages of the origins listed. A browser always tells where a page comes from (RFC 6454 §7), so any other page that
 * somebody on this machine happens to open cannot reach a server on loopback (cross-site WebSocket hijacking, CSRF).
 */
export function isOriginAllowed(
  { origin, host }: IncomingHttpHeaders,
  allowed: ReadonlySet<string>,
): boolean {
  if (origin === undefined || allowed.has(origin)) return true;
  return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
}
