import { isOriginAllowed, originRefusal, type OriginRequest, type Origins } from './origin.ts';

export interface CrossOriginOptions {
  /** Whether pages may send cookies (Fetch §3.2.5): only if a cookie can carry a token. */
  readonly takesCookies?: boolean | undefined;
}

const exposedHeaders =
  'ETag, Everywire-Continuity, Everywire-Cursor, Preference-Applied, Retry-After, WWW-Authenticate';

/** The pages of other origins that may use this server (Fetch §3.2). Without a list, no such page may. */
export class CrossOrigin {
  readonly #allowed: Origins | undefined;
  readonly #takesCookies: boolean;

  constructor(allowed: Origins | undefined, { takesCookies = false }: CrossOriginOptions = {}) {
    this.#allowed = allowed;
    this.#takesCookies = takesCookies;
  }

  /**
   * Fields for the answer to a request.
   * @throws EverywireError `forbidden` if there is a list, and the page's origin is neither on it nor this server's
   */
  headersFor(request: OriginRequest): Readonly<Record<string, string>> {
    if (!this.#isListed(request.headers.origin)) this.#check(request);
    return this.fieldsOf(request);
  }

  /** The same for an answer that is a refusal already, so that a listed page can read it; other pages get no welcome. */
  fieldsOf({ headers: { origin } }: OriginRequest): Readonly<Record<string, string>> {
    const vary = { Vary: this.#allowed === undefined ? 'Accept' : 'Accept, Origin' };
    if (!this.#isListed(origin)) return vary;
    return { ...vary, ...this.#welcome(origin), 'Access-Control-Expose-Headers': exposedHeaders };
  }

  /**
   * Fields for the answer to OPTIONS, if it is a preflight request of a page; no fields for other requests.
   * @throws EverywireError `forbidden` as above
   */
  preflight(request: OriginRequest): Readonly<Record<string, string>> {
    const { origin, 'access-control-request-headers': wanted } = request.headers;
    if (!this.#isListed(origin)) {
      this.#check(request);
      return {};
    }
    return {
      Vary: 'Origin, Access-Control-Request-Headers',
      ...this.#welcome(origin),
      'Access-Control-Allow-Methods': 'GET, HEAD, POST, PATCH, DELETE',
      ...(wanted === undefined ? {} : { 'Access-Control-Allow-Headers': wanted }),
      'Access-Control-Max-Age': '600',
    };
  }

  #isListed(origin: string | undefined): origin is string {
    return origin !== undefined && this.#allowed?.has(origin) === true;
  }

  #welcome(origin: string): Readonly<Record<string, string>> {
    return {
      'Access-Control-Allow-Origin': origin,
      ...(this.#takesCookies ? { 'Access-Control-Allow-Credentials': 'true' } : {}),
    };
  }

  #check(request: OriginRequest): void {
    if (this.#allowed === undefined || isOriginAllowed(request, this.#allowed)) return;
    throw originRefusal(request, this.#allowed);
  }
}
