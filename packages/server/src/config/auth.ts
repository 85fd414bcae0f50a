import { EverywireError } from '@everywire/protocol';
import { certificateIdentities, type CertificateRights } from '../auth/certificates.ts';
import { findUrlProblem } from '../auth/tokens/jwks.ts';
import { KeyError, readPublicKey, readSecret, type VerificationKey } from '../auth/tokens/keys.ts';
import type { Issuer } from '../auth/tokens/verifier.ts';
import type { Config } from './schema.ts';

/** The issuers whose tokens are accepted; none: authentication is off. */
export function issuersOf({ auth }: Config): readonly Issuer[] {
  return hasKey(auth.jwt) ? [auth.jwt] : auth.issuers;
}

/** The rights of a client certificate without a token; `undefined`: none are configured. */
export function certificateRightsOf({ auth }: Config): CertificateRights | undefined {
  const { subscribe, publish, admin } = auth.certificates;
  return subscribe === undefined && publish === undefined && !admin ? undefined : auth.certificates;
}

/** Whether every client must authenticate. */
export function authenticates(config: Config): boolean {
  return issuersOf(config).length > 0 || certificateRightsOf(config) !== undefined;
}

/** Problems with the rights of certificates, one sentence each. */
export function findCertificateProblems(config: Config): readonly string[] {
  const rights = certificateRightsOf(config);
  if (rights === undefined) return [];
  if (config.tls.subjectFrom === 'none')
    return [
      'auth.certificates gives rights to the subjects of certificates, and tls.subjectFrom is not set.',
    ];
  try {
    certificateIdentities(rights, config.limits)('alice');
    return [];
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    return [`auth.certificates: ${error.message}`];
  }
}

/** Problems with the settings of tokens, one sentence each; no sentence has a byte of a secret. */
export function findTokenProblems({ auth: { jwt, issuers } }: Config): readonly string[] {
  const problems: string[] = [];
  const keyless = (['issuer', 'audience', 'algorithm'] as const).filter((name) => jwt[name] !== undefined);
  if (!hasKey(jwt)) {
    for (const name of keyless)
      problems.push(`auth.jwt.${name} needs a key: one of auth.jwt.secret, publicKey and jwks.`);
  } else {
    if (issuers.length > 0)
      problems.push('auth.jwt and auth.issuers both have keys: make auth.jwt one of auth.issuers.');
    problems.push(...findKeyProblems('auth.jwt', jwt));
  }
  const names = new Set<string>();
  for (const [at, entry] of issuers.entries()) {
    const where = `auth.issuers[${at}]`;
    if (!hasKey(entry)) problems.push(`${where} needs a key: one of secret, publicKey and jwks.`);
    else problems.push(...findKeyProblems(where, entry));
    if (names.has(entry.issuer)) problems.push(`${where}.issuer is already used by an earlier issuer.`);
    names.add(entry.issuer);
  }
  return problems;
}

function hasKey({ secret, publicKey, jwks }: Issuer): boolean {
  return secret !== undefined || publicKey !== undefined || jwks !== undefined;
}

function findKeyProblems(where: string, issuer: Issuer): readonly string[] {
  const { secret, publicKey, jwks, algorithm } = issuer;
  const given = [secret, publicKey, jwks].filter((key) => key !== undefined);
  if (given.length > 1) return [`${where} has more than one of secret, publicKey and jwks.`];
  if (jwks !== undefined) {
    const problem = findUrlProblem(jwks);
    if (problem !== undefined) return [`${where}.jwks ${problem}.`];
    return algorithm === 'HS256' ? [`${where}.algorithm HS256 is for a secret, and key sets have none.`] : [];
  }
  const name = secret === undefined ? 'publicKey' : 'secret';
  let key: VerificationKey;
  try {
    key = secret === undefined ? readPublicKey(publicKey ?? '') : readSecret(secret);
  } catch (error) {
    if (!(error instanceof KeyError)) throw error;
    return [`${where}.${name}: ${error.message}.`];
  }
  if (algorithm !== undefined && algorithm !== key.algorithm)
    return [`${where}.algorithm ${algorithm} does not fit its ${name}, which is for ${key.algorithm}.`];
  return [];
}
