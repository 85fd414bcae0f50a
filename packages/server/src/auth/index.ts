import type { Access, Tokens } from '../core/sessions/access.ts';
import type { Clock, Random } from '../core/clock.ts';
import type { AuthLimits } from './limits.ts';
import type { RecordStore } from '../core/seams/store.ts';
import type { Log } from '../core/seams/log.ts';
import { createTokenAccess, createTokens } from './access.ts';
import { certificateIdentities, type CertificateRights } from './certificates.ts';
import { Revocations } from './revocations.ts';
import { Tickets } from './tickets.ts';
import { createVerifier, type Issuer } from './tokens/verifier.ts';

export interface AuthOptions {
  /** The trusted issuers of tokens. */
  readonly issuers: readonly Issuer[];
  /** Absent: a client certificate alone gives no access. */
  readonly certificates?: CertificateRights | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: AuthLimits;
  readonly log: Log;
}

export interface Auth {
  readonly access: Access;
  readonly tokens: Tokens;
  /**
   * Reads the revocations. Call it when the store is open and before any client may connect.
   * @throws Error for the operator
   */
  start(records: RecordStore): Promise<void>;
  stop(): void;
}

/** Authentication as configured; `undefined` while it is off. @throws KeyError for a key that cannot be used */
export function openAuth(options: AuthOptions): Auth | undefined {
  const { issuers, certificates, clock, limits } = options;
  if (issuers.length === 0 && certificates === undefined) return undefined;
  const verifier = createVerifier(options);
  const tickets = new Tickets(options);
  const leewaySeconds = Math.max(0, ...issuers.map((issuer) => issuer.leewaySeconds ?? 0));
  const revocations = new Revocations({ clock, limits, leewayMs: leewaySeconds * 1_000 });
  const access = createTokenAccess({
    verifier,
    tickets,
    revocations,
    certificates: certificates && certificateIdentities(certificates, limits),
    limits,
    clock,
  });
  return {
    access,
    tokens: createTokens({ tickets, revocations }),
    async start(records) {
      await revocations.load(records);
      verifier.start();
    },
    stop: () => verifier.stop(),
  };
}
