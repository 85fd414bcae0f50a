import { EverywireError, type Filter } from '@everywire/protocol';
import type { Access, Credentials, Identity, Tokens } from '../core/sessions/access.ts';
import type { Clock } from '../core/clock.ts';
import type { Limits } from '../core/limits.ts';
import { createPermissions, type Permissions } from './permissions.ts';
import type { Revocations } from './revocations.ts';
import { isTicket, type Tickets } from './tickets.ts';
import type { Verifier } from './tokens/verifier.ts';

export interface TokenAccessOptions {
  readonly verifier: Verifier;
  readonly tickets: Tickets;
  readonly revocations: Revocations;
  /** The identity of a client certificate's subject; absent: a certificate alone gives no access. */
  readonly certificates?: ((subject: string) => Identity) | undefined;
  readonly limits: Pick<Limits, 'nameBytesMax' | 'nameLevelsMax' | 'filterWildcardsMax'>;
  readonly clock: Clock;
}

/** Access by tokens, by tickets issued in place of tokens, and by client certificates. */
export function createTokenAccess(options: TokenAccessOptions): Access {
  return new TokenAccess(options);
}

/** Operations on tokens beside showing them. */
export function createTokens({
  tickets,
  revocations,
}: Pick<TokenAccessOptions, 'tickets' | 'revocations'>): Tokens {
  return {
    issueTicket: (identity) => tickets.issue(identity),
    revoke: (what) => revocations.add(what),
  };
}

class TokenAccess implements Access {
  readonly #options: TokenAccessOptions;
  readonly #permissionsOf: ReturnType<typeof createPermissions>;

  constructor(options: TokenAccessOptions) {
    this.#options = options;
    this.#permissionsOf = createPermissions(options.limits);
  }

  async authenticate(credentials: Credentials): Promise<Identity> {
    const identity = await this.#identify(credentials);
    this.checkCurrent(identity);
    return identity;
  }

  checkCurrent(identity: Identity): void {
    const { claims } = identity;
    // Stored while authentication was off, when every client was an administrator.
    if (claims === undefined) throw unauthorized('A token is required.');
    if (claims.expiresAtMs <= this.#options.clock.nowMs()) throw unauthorized('The token has expired.');
    if (this.#options.revocations.isRevoked(identity)) throw unauthorized('The token was revoked.');
  }

  authorizePublish(identity: Identity, channel: string): void {
    if (this.#of(identity)?.publish.allows(channel) === true) return;
    throw new EverywireError('forbidden', 'The token does not allow publishing to this channel.');
  }

  authorizeSubscribe(identity: Identity, filter: Filter): void {
    if (this.#of(identity)?.subscribe.grants(filter) === true) return;
    throw new EverywireError('forbidden', 'The token does not allow reading this channel or filter.');
  }

  authorizeAdmin({ isAdmin, claims }: Identity, action: string): void {
    if (isAdmin && claims !== undefined) return;
    throw new EverywireError('forbidden', `Only an administrator may ${action}.`);
  }

  deliverable(identity: Identity, filter: Filter): ((channel: string) => boolean) | undefined {
    const permissions = this.#of(identity);
    return permissions === undefined ? () => false : permissions.subscribe.deliverable(filter);
  }

  onRevoked(listener: (isHit: (identity: Identity) => boolean) => void): void {
    this.#options.revocations.onAdded(listener);
  }

  /**
   * All shown credentials must be valid and name one subject. The rights are those of the token, or of the ticket or
   * certificate used in its place.
   */
  async #identify({ token, ticket, certificate }: Credentials): Promise<Identity> {
    const { tickets, verifier, certificates } = this.#options;
    const byTicket = ticket === undefined ? undefined : tickets.take(ticket);
    const byToken =
      token === undefined ? undefined : isTicket(token) ? tickets.take(token) : await verifier.verify(token);
    const identity =
      byToken ?? byTicket ?? (certificate === undefined ? undefined : certificates?.(certificate));
    if (identity === undefined) throw unauthorized('A token is required.');
    const subjects = [byToken?.subject, byTicket?.subject, certificate];
    if (subjects.some((subject) => subject !== undefined && subject !== identity.subject)) {
      throw unauthorized('The credentials name several subjects.');
    }
    return identity;
  }

  #of({ claims }: Identity): Permissions | undefined {
    return claims === undefined ? undefined : this.#permissionsOf(claims);
  }
}

function unauthorized(detail: string): EverywireError {
  return new EverywireError('unauthorized', detail);
}
