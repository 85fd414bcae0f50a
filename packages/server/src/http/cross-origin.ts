import type { IncomingHttpHeaders } from 'node:http';
import { EverywireError } from '@everywire/protocol';
import { isOriginAllowed } from './origin.ts';

/** Which pages of other origins may use this server (Fetch §3.2). Without a list no page is told that it may. */
export class CrossOrigin {
  readonly #allowed: ReadonlySet<string> | undefined;

  constructor(allowed: readonly string[] | undefined) {
    this.#allowed = allowed === undefined ? undefined : new Set(allowed);
  }

  /**
   * Fields for the answer to a request.
   * @throws EverywireError `forbidden` when there is a list and the page's origin is neither on it nor this server's
   */
  headersFor(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
    const { origin } = headers;
    const vary = { Vary: this.#allowed === undefined ? 'Accept' : 'Accept, Origin' };
    if (origin === undefined || this.#allowed === undefined) return vary;
    if (this.#allowed.has(origin)) {
      return {
        ...vary,
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Expose-Headers':
          'ETag, Everywire-Continuity, Everywire-Cursor, Preference-Applied, Retry-After',
      };
    }
    if (isOriginAllowed(headers, this.#allowed)) return vary;
    throw new EverywireError('forbidden', 'Pages of this origin may not use this server.');
  }

  /** Fields for the answer to a preflight; empty when the origin is not on the list. */
  preflight(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
    const { origin } = headers;
    if (origin === undefined || this.#allowed?.has(origin) !== true) return {};
    const wanted = headers['access-control-request-headers'];
    return {
      Vary: 'Origin, Access-Control-Request-Headers',
      'Access-Control-Allow-Origin': origin,
      'Access-Control-Allow-Methods': 'GET, HEAD, POST, DELETE',
      ...(wanted === undefined ? {} : { 'Access-Control-Allow-Headers': wanted }),
      'Access-Control-Max-Age': '600',
    };
  }
}
