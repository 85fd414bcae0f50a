import { EverywireError } from '@everywire/protocol';
import type { Identity } from '../core/sessions/access.ts';
import type { AuthLimits } from './limits.ts';
import { lastMs, readRights, readSubject } from './tokens/claims.ts';

/** The rights of a client that shows a client certificate and no token; filters as in a token. */
export interface CertificateRights {
  readonly subscribe?: readonly string[] | undefined;
  readonly publish?: readonly string[] | undefined;
  readonly admin?: boolean | undefined;
}

/**
 * The identity of a certificate's subject. The listener verifies the certificate, so these rights do not expire;
 * revoking the subject ends them for good, since a certificate does not say when the rights were given. The function
 * throws EverywireError `unauthorized` for a subject that no token could have either.
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
      throw new EverywireError(
        'unauthorized',
        `The subject of the certificate is not valid. ${error.message}`,
      );
    }
  };
}
