import type { Filter } from '@everywire/protocol';

/** The caller of an operation, with its claims. */
export interface Identity {
  /** The authenticated subject; `undefined` without authentication. */
  readonly subject: string | undefined;
  readonly isAdmin: boolean;
  /** The claims of its token; absent without authentication. */
  readonly claims?: Claims | undefined;
}

/**
 * Whether rates and quotas per subject hold for it. Without authentication the server cannot tell clients apart, and
 * administrators are the operator's own backends.
 */
export function isBounded({ claims, isAdmin }: Identity): boolean {
  return claims !== undefined && !isAdmin;
}

/**
 * The rights that a token granted: plain data, since wills, webhooks and sessions keep it beyond the connection that
 * brought it.
 */
export interface Claims {
  /** Filters as `parseFilter` reads them, `{sub}` replaced; one with `!` in front denies, and denying wins. */
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
  /** It is invalid from then on, in milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** Absent where the token does not say: revoking its subject ends it whenever it was issued. */
  readonly issuedAtMs?: number | undefined;
  /** `jti`, by which this one token can be revoked. */
  readonly tokenId?: string | undefined;
}

/** The credentials that a peer sends at its handshake. */
export interface Credentials {
  readonly token: string | undefined;
  /** In place of a token: from `POST /tickets`, good for one handshake. */
  readonly ticket?: string | undefined;
  /** The subject that the peer's client certificate was mapped to; the listener has verified the certificate. */
  readonly certificate?: string | undefined;
  /** The peer's address, for limits and logs. */
  readonly address: string | undefined;
  /** Its connection as `net/guard.ts` names it: from now on it counts as authenticated. */
  readonly connection?: string | undefined;
}

/**
 * The only place that decides about rights. The hub asks it on every path (live, replay, retained, list, delete), so no
 * transport can forget a check. Refusals are thrown as `unauthorized` or `forbidden`.
 */
export interface Access {
  authenticate(credentials: Credentials): Promise<Identity>;
  /**
   * Whether rights that were granted earlier are still valid. @throws EverywireError `unauthorized`: expired, or
   * revoked
   */
  checkCurrent(identity: Identity): void;
  authorizePublish(identity: Identity, channel: string): void;
  authorizeSubscribe(identity: Identity, filter: Filter): void;
  authorizeAdmin(identity: Identity, action: string): void;
  /**
   * Which channels of a filter that was granted may be delivered. `undefined` means all of them, which lets the
   * fan-out hand the shared batch over without looking at each message.
   */
  deliverable(identity: Identity, filter: Filter): ((channel: string) => boolean) | undefined;
  /** `listener` is called for every revocation from then on, with a function that tells which identities it hits. */
  onRevoked(listener: (isHit: (identity: Identity) => boolean) => void): void;
}

/** Operations on tokens. Absent while authentication is off. */
export interface Tokens {
  /** A ticket in place of `identity` at one handshake, for browsers that cannot set a header there. */
  issueTicket(identity: Identity): Ticket;
  /**
   * Resolves once it is durable and every session that it hits has been ended. A subject's tokens that were issued until now
   * are refused from then on, later ones are not. @throws EverywireError `quota_exceeded` when too many are remembered
   */
  revoke(what: Revocable): Promise<void>;
}

/** Tokens to be refused: all of a subject, or the one with that `jti`. */
export type Revocable = (
  | { readonly subject: string; readonly tokenId?: undefined }
  | { readonly subject?: undefined; readonly tokenId: string }
) & {
  /** From then on they have all expired, so that it may be forgotten. Absent: never. */
  readonly untilMs?: number | undefined;
};

export interface Ticket {
  readonly ticket: string;
  readonly expiresAtMs: number;
}

const everybody: Identity = { subject: undefined, isAdmin: true };

/** Authentication off: everyone may do everything. Only for loopback; the server refuses a public address with it. */
export const openAccess: Access = {
  authenticate: () => Promise.resolve(everybody),
  checkCurrent: () => undefined,
  authorizePublish: () => undefined,
  authorizeSubscribe: () => undefined,
  authorizeAdmin: () => undefined,
  deliverable: () => undefined,
  onRevoked: () => undefined,
};
