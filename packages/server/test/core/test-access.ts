import { EverywireError, matches, parseFilter } from '@everywire/protocol';
import type { Access, Claims, Identity } from '../../src/core/sessions/access.ts';
import { defaultLimits } from '../../src/config/limits.ts';

/** Tokens are `subject:filter,filter`; dates and revocations are the test's. */
export class TestAccess implements Access {
  expiresAtMs = Number.MAX_SAFE_INTEGER;
  readonly revoked = new Set<string>();
  readonly #nowMs: () => number;
  #listener: ((isHit: (identity: Identity) => boolean) => void) | undefined;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  async authenticate({ token = '' }: { readonly token: string | undefined }): Promise<Identity> {
    const [subject, filters = ''] = token.split(':');
    if (subject === '') throw new EverywireError('unauthorized', 'No token.');
    const claims: Claims = { subscribe: filters.split(','), publish: [], expiresAtMs: this.expiresAtMs };
    return { subject, isAdmin: false, claims };
  }

  checkCurrent({ subject, claims }: Identity): void {
    if (claims!.expiresAtMs <= this.#nowMs()) throw new EverywireError('unauthorized', 'expired');
    if (this.revoked.has(subject!)) throw new EverywireError('unauthorized', 'revoked');
  }

  authorizePublish(): void {}

  authorizeAdmin(): void {}

  authorizeSubscribe({ claims }: Identity, { text }: { readonly text: string }): void {
    if (!claims!.subscribe.some((filter) => filter === text || filter === '**'))
      throw new EverywireError('forbidden', text);
  }

  deliverable({ claims }: Identity): ((channel: string) => boolean) | undefined {
    const denied = claims!.subscribe
      .filter((filter) => filter.startsWith('!'))
      .map((filter) => parseFilter(filter.slice(1), defaultLimits));
    return denied.length === 0 ? undefined : (channel) => !denied.some((filter) => matches(filter, channel));
  }

  onRevoked(listener: (isHit: (identity: Identity) => boolean) => void): void {
    this.#listener = listener;
  }

  revoke(subject: string): void {
    this.revoked.add(subject);
    this.#listener!((identity) => identity.subject === subject);
  }
}
