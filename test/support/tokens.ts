import { SignJWT, type CryptoKey, type JWTPayload, type KeyObject } from 'jose';

/** Long enough for HS256: `auth: { jwt: { secret: testSecret } }`. */
export const testSecret = 'a secret of tests, long enough for HS256';

export interface MintedClaims {
  readonly sub?: string;
  /** Filters; `!` in front denies, `{sub}` is replaced by the subject. */
  readonly subscribe?: readonly string[];
  readonly publish?: readonly string[];
  readonly admin?: boolean;
  /** Seconds since 1970; in an hour unless it is given. */
  readonly exp?: number;
  readonly nbf?: number;
  readonly iat?: number;
  readonly jti?: string;
  readonly iss?: string;
  readonly aud?: string | readonly string[];
  /** More claims, which replace those above. `undefined` removes a claim. */
  readonly raw?: Readonly<Record<string, unknown>>;
}

export interface MintOptions {
  /** Default HS256. */
  readonly alg?: string;
  readonly kid?: string;
}

/** A token as an issuer would sign it, with every claim as given: also one that must be refused. */
export function mint(
  key: string | Uint8Array | CryptoKey | KeyObject,
  claims: MintedClaims = {},
  { alg = 'HS256', kid }: MintOptions = {},
): Promise<string> {
  const { subscribe, publish, admin, raw, ...registered } = claims;
  const everywire = { subscribe, publish, admin };
  const issuedAt = Math.floor(Date.now() / 1_000);
  const payload: Record<string, unknown> = {
    sub: 'alice',
    iat: issuedAt,
    exp: issuedAt + 3_600,
    ...registered,
    // Members without a value are left out by JSON.
    everywire,
    ...raw,
  };
  return new SignJWT(JSON.parse(JSON.stringify(payload)) as JWTPayload)
    .setProtectedHeader({ alg, typ: 'JWT', ...(kid === undefined ? {} : { kid }) })
    .sign(typeof key === 'string' ? new TextEncoder().encode(key) : key);
}
