import type { IncomingHttpHeaders } from 'node:http';
import { domainToASCII } from 'node:url';
import { EverywireError } from '@everywire/protocol';
import { isLoopbackName } from '../net/loopback.ts';

/** The parts of a request that tell its origin. */
export interface OriginRequest {
  readonly headers: IncomingHttpHeaders;
  /** Shows whether the connection is encrypted; absent: it is not. */
  readonly socket?: object;
}

/** The origins whose pages may use this server, beside its own. */
export interface Origins {
  has(origin: string): boolean;
  /** Called for each refused page. */
  refused?(origin: string): void;
}

export const noOrigins: Origins = { has: () => false };

/** In a list of origins: any loopback origin, for development. */
export const devOrigins = 'dev';

/** Scheme, host and port (RFC 6454 §4). No user, no path, and nothing that two readers could read as different hosts. */
const originShape = /^([a-z][a-z0-9+.-]*):\/\/([^/?#@*\\%\s:[\]]+|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/i;
const defaultPorts: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['https', '443'],
]);

/**
 * An origin in its canonical form (RFC 6454 §6.2): lower case, the host in ASCII, no default port. `null` is the origin
 * of files and sandboxed frames. `undefined`: it is not an origin.
 */
export function serializeOrigin(text: string): string | undefined {
  if (text === 'null') return text;
  const [, scheme, host, port] = originShape.exec(text) ?? [];
  if (scheme === undefined || host === undefined || Number(port ?? 0) > 65_535) return undefined;
  const protocol = scheme.toLowerCase();
  const name = host.startsWith('[') ? host.toLowerCase() : hostInAscii(protocol, host);
  if (name === '') return undefined;
  const isDefault = port === undefined || Number(port) === Number(defaultPorts.get(protocol));
  return `${protocol}://${name}${isDefault ? '' : `:${Number(port)}`}`;
}

/** Empty: it is not a host name. */
function hostInAscii(protocol: string, host: string): string {
  // Extensions and apps use ids of their platform instead of hosts.
  return defaultPorts.has(protocol) ? domainToASCII(host) : host.toLowerCase();
}

/** The configured origins, which are compared as origins and not as text. */
export class AllowedOrigins implements Origins {
  readonly #listed: ReadonlySet<string>;
  readonly #isDev: boolean;
  readonly #onRefused: ((origin: string) => void) | undefined;

  constructor(listed: readonly string[], onRefused?: (origin: string) => void) {
    const origins = listed.filter((one) => one !== devOrigins).map(serializeOrigin);
    this.#listed = new Set(origins.filter((one) => one !== undefined));
    this.#isDev = listed.includes(devOrigins);
    this.#onRefused = onRefused;
  }

  has(origin: string): boolean {
    const serialized = serializeOrigin(origin);
    if (serialized === undefined) return false;
    return this.#listed.has(serialized) || (this.#isDev && isLoopbackOrigin(serialized));
  }

  refused(origin: string): void {
    this.#onRefused?.(origin);
  }
}

/** Whether it is a page of a web server on this machine. */
function isLoopbackOrigin(origin: string): boolean {
  return /^https?:/.test(origin) && isLoopbackName(hostOf(origin));
}

/** The host of an origin or of a `Host` field, without its port. */
export function hostOf(text: string): string {
  return text.replace(/^[^/]*:\/\//, '').replace(/:\d*$/, '');
}

/**
 * Whether the sender of this request may use the server. Allowed are programs, which send no Origin; pages of this
 * server; and pages of the listed origins. A browser always sends the origin of a page (RFC 6454 §7), so another open
 * page on this machine cannot reach a server on loopback (cross-site WebSocket hijacking, CSRF).
 */
export function isOriginAllowed(request: OriginRequest, allowed: Origins): boolean {
  const { origin } = request.headers;
  return origin === undefined || allowed.has(origin) || isOwnOrigin(origin, request);
}

/** The refusal of a page whose origin is not allowed. It has nothing to do with a token, and is logged. */
export function originRefusal({ headers: { origin = '' } }: OriginRequest, allowed: Origins): EverywireError {
  allowed.refused?.(origin);
  return new EverywireError('forbidden', 'Pages of this origin may not use this server.', {
    title: 'The origin of the page is not allowed.',
  });
}

/**
 * The names by which a browser may reach a server on loopback without tokens: those of the machine and those of
 * `listed` origins. A page can make its own name resolve to 127.0.0.1, and would then have the origin of this server
 * (DNS rebinding); but `Host` still has the page's name.
 */
export function hostsOnLoopback(listed: readonly string[]): (host: string) => boolean {
  const named = new Set(
    listed
      .map((origin) => hostOf(serializeOrigin(origin) ?? ''))
      .filter((host) => host !== '' && host !== 'null'),
  );
  // Every request has the field, and nearly always the same text.
  let lastAllowed: string | undefined;
  return (host) => {
    if (host === lastAllowed) return true;
    const name = hostOf(serializeOrigin(`http://${host}`) ?? '');
    const isAllowed = isLoopbackName(name) || named.has(name);
    if (isAllowed) lastAllowed = host;
    return isAllowed;
  };
}

/** The refusal of a request by another name. */
export function hostRefusal(host: string): EverywireError {
  return new EverywireError(
    'forbidden',
    `This server asks for no token, so it answers to names of its machine only. ${JSON.stringify(host)} is another name. Use localhost, ` +
      `or add http://${host} to allowedOrigins.`,
    { title: 'The host name is not allowed.' },
  );
}

/**
 * Scheme, host and port make an origin (RFC 6454 §4). An attacker may have changed a page that came in clear text, so
 * such a page is not from a TLS server. The opposite is allowed: TLS may end at a proxy in front, and Paho for Python
 * sends https for every connection.
 */
function isOwnOrigin(origin: string, { headers, socket }: OriginRequest): boolean {
  const host = headers.host ?? headers[':authority'];
  const serialized = serializeOrigin(origin);
  if (typeof host !== 'string' || serialized === undefined || serialized === 'null') return false;
  return (
    serialized === serializeOrigin(`https://${host}`) ||
    (serialized === serializeOrigin(`http://${host}`) && !isEncrypted(socket))
  );
}

function isEncrypted(socket: object | undefined): boolean {
  return socket !== undefined && 'encrypted' in socket && socket.encrypted === true;
}
