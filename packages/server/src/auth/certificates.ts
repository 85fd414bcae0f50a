import { EverywireError } from '@everywire/protocol';
import type { Identity } from '../core/sessions/access.ts';
import type { AuthLimits } from './limits.ts';
import { lastMs, readRights, readSubject } from './tokens/claims.ts';

/** What who shows a client certificate and no token may do; filters as in a token. */
export interface CertificateRights {
  readonly subscribe?: readonly string[] | undefined;
  readonly publish?: readonly string[] | undefined;
  readonly admin?: boolean | undefined;
}

/**
 * Who a certificate's subject is. It is for the listener to see that the certificate holds, so the rights have no end of
 * their own; revoking the subject ends them for good, since a certificate does not say when they were given.
 * The function throws EverywireError `unauthorized` for a subject that no token could have either.
 */
export function certificateIdentities(
  { subscribe, publish, admin = false }: CertificateRights,
  limits: AuthLimits,
): (subject: string) => Identity {
  const everywire = {
    admin,
    ...(subscribe === undefined ? {} : { subscribe }),
    ...(publish === undefined ? {} : { publish }),
  };
  return (text) => {
    try {
      const subject = readSubject(text, limits);
      const { isAdmin, ...lists } = readRights(everywire, subject, limits);
      return { subject, isAdmin, claims: { ...lists, expiresAtMs: lastMs } };
    } catch (error) {
      if (!(error instanceof EverywireError)) throw error;
      throw new EverywireError('unauthorized', `The certificate stands for nobody. ${error.message}`);
    }
  };
}
