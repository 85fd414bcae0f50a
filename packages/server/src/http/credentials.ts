import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { Credentials, Identity } from '../core/sessions/access.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import { connectionKey } from '../net/guard.ts';
import { bearerToken } from './bearer.ts';
import { isOriginAllowed, noOrigins, type Origins } from './origin.ts';
import { peerOf } from './peer.ts';
import { rawQuery } from './percent.ts';
import { HttpRefusal } from './problem.ts';
import { Query } from './query.ts';

export interface CallersOptions {
  readonly hub: Pick<HubFront, 'authenticate'>;
  /** Origins whose pages a cookie may come from, beside this server's own. */
  readonly allowedOrigins?: Origins | undefined;
  /** The name of the cookie that may carry a token; absent: the server ignores cookies. */
  readonly cookie?: string | undefined;
  /** The subject of a connection's verified client certificate; absent: the server uses no client certificates. */
  readonly certificateOf?: ((socket: Socket) => string | undefined) | undefined;
}

/** Authenticates the requests on the HTTP port: the only code that reads credentials there. */
export class Callers {
  readonly #hub: Pick<HubFront, 'authenticate'>;
  readonly #allowedOrigins: Origins;
  readonly #cookie: string | undefined;
  readonly #certificateOf: (socket: Socket) => string | undefined;

  constructor({ hub, allowedOrigins, cookie, certificateOf }: CallersOptions) {
    this.#hub = hub;
    this.#allowedOrigins = allowedOrigins ?? noOrigins;
    this.#cookie = cookie;
    this.#certificateOf = certificateOf ?? (() => undefined);
  }

  /** Whether answers may tell a page that its cookies are read. */
  get takesCookies(): boolean {
    return this.#cookie !== undefined;
  }

  /**
   * The credentials of a request or handshake. A token in the address is ignored, because addresses appear in logs and
   * histories (RFC 6750 §5.3). An address may only have a ticket, which is valid once.
   * @throws EverywireError `malformed` for a ticket or cookie given twice
   */
  credentialsOf(request: IncomingMessage): Credentials {
    const { headers, socket, url } = request;
    const ticket = new Query(rawQuery(url ?? '')).one('ticket');
    const isExplicit = headers.authorization !== undefined || ticket !== undefined;
    return {
      token: isExplicit ? bearerToken(headers.authorization) : this.#cookieOf(request),
      ticket,
      certificate: this.#certificateOf(socket),
      address: peerOf(request).address,
      connection: connectionKey(socket),
    };
  }

  /** @throws EverywireError `unauthorized`, with the challenge that RFC 6750 §3 asks for */
  async authenticate(request: IncomingMessage): Promise<Identity> {
    const credentials = this.credentialsOf(request);
    try {
      return await this.#hub.authenticate(credentials);
    } catch (caught) {
      const refusal = toEverywireError(caught);
      const { token, ticket, certificate } = credentials;
      const isShown = token !== undefined || ticket !== undefined || certificate !== undefined;
      if (refusal.code !== 'unauthorized' || isShown) throw refusal;
      // RFC 6750 §3.1: a request without credentials gets the scheme and no error.
      const headers = { 'WWW-Authenticate': 'Bearer' };
      throw new HttpRefusal('unauthorized', refusal.message, { headers, cause: refusal });
    }
  }

  /**
   * Browsers send cookies with requests of any page. So a cookie counts only if the browser says that the page is from
   * this server or a listed origin: by Origin, or for requests without Origin, by Sec-Fetch-Site (Fetch Metadata §2.3).
   */
  #cookieOf(request: IncomingMessage): string | undefined {
    const name = this.#cookie;
    const { origin, cookie, 'sec-fetch-site': site } = request.headers;
    if (name === undefined || cookie === undefined) return undefined;
    const isOurs =
      origin === undefined ? site === 'same-origin' : isOriginAllowed(request, this.#allowedOrigins);
    return isOurs ? readCookie(cookie, name) : undefined;
  }
}

/** The value of one cookie in a `Cookie` field (RFC 6265 §4.2.1). @throws EverywireError `malformed` if it occurs twice */
function readCookie(field: string, name: string): string | undefined {
  const values = field
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  // A neighbouring host can set a cookie with the same name, and the field does not show the host (RFC 6265 §8.6).
  if (values.length > 1)
    throw new EverywireError('malformed', `The request has the cookie ${name} more than once.`);
  return values[0];
}
