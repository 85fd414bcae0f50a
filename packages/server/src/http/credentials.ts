import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { Credentials, Identity } from '../core/sessions/access.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import { connectionKey } from '../net/guard.ts';
import { bearerToken } from './bearer.ts';
import { isOriginAllowed } from './origin.ts';
import { peerOf } from './peer.ts';
import { rawQuery } from './percent.ts';
import { HttpRefusal } from './problem.ts';
import { Query } from './query.ts';

export interface CallersOptions {
  readonly hub: Pick<HubFront, 'authenticate'>;
  /** Origins whose pages a cookie may come from, beside this server's own. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** The cookie that may carry a token; absent: cookies are not looked at. */
  readonly cookie?: string | undefined;
  /** The subject that a connection's verified client certificate was mapped to; absent: there are none. */
  readonly certificateOf?: ((socket: Socket) => string | undefined) | undefined;
}

/** Authenticates the requests on the HTTP port: one reading of credentials for all that is served there. */
export class Callers {
  readonly #hub: Pick<HubFront, 'authenticate'>;
  readonly #allowedOrigins: ReadonlySet<string>;
  readonly #cookie: string | undefined;
  readonly #certificateOf: (socket: Socket) => string | undefined;

  constructor({ hub, allowedOrigins, cookie, certificateOf }: CallersOptions) {
    this.#hub = hub;
    this.#allowedOrigins = new Set(allowedOrigins);
    this.#cookie = cookie;
    this.#certificateOf = certificateOf ?? (() => undefined);
  }

  /** Whether answers may tell a page that its cookies are read. */
  get takesCookies(): boolean {
    return this.#cookie !== undefined;
  }

  /**
   * The credentials of a request or handshake. A token in the address is ignored, because addresses end up in logs and
   * histories (RFC 6750 §5.3): there, only a ticket counts, which is good once.
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
   * Browsers send cookies with requests of any page, so a cookie counts only where the browser says that the page is
   * ours or listed: by Origin, or for requests without Origin, by Sec-Fetch-Site (Fetch Metadata §2.3).
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

/** One cookie of a `Cookie` field (RFC 6265 §4.2.1). @throws EverywireError `malformed` when it is there twice */
function readCookie(field: string, name: string): string | undefined {
  const values = field
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  // A neighbouring host can add one of the same name, and which is whose cannot be seen (RFC 6265 §8.6).
  if (values.length > 1)
    throw new EverywireError('malformed', `The request has the cookie ${name} more than once.`);
  return values[0];
}
