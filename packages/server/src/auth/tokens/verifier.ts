import { compactVerify, errors } from 'jose';
import type { Identity } from '../../core/sessions/access.ts';
import type { Clock } from '../../core/clock.ts';
import type { AuthLimits } from '../limits.ts';
import type { Log } from '../../core/seams/log.ts';
import { checkValidity, readClaims, type ClaimRules } from './claims.ts';
import { fetchKeySet, type FetchKeySet } from './fetch-key-set.ts';
import { Jwks } from './jwks.ts';
import { readPublicKey, readSecret, type Algorithm, type KeySource, type VerificationKey } from './keys.ts';
import { readToken, type ReadToken } from './read-token.ts';
import { refuse } from './refusal.ts';
import { VerifiedTokens } from './verified-tokens.ts';

/** Says whose token that is. Whether it was revoked, and what its claims allow, is asked elsewhere. */
export interface Verifier {
  /**
   * Resolves to the token's subject, with its claims; to the same object as before while it is remembered.
   * @throws EverywireError `unauthorized`, with a reason that has no byte of the token
   */
  verify(token: string): Promise<Identity>;
}

/** One that has keys to fetch. */
export interface TokenVerifier extends Verifier {
  /** Fetches key sets. Tokens may be verified before: they wait then. */
  start(): void;
  stop(): void;
}

/** Whose tokens are believed, and by which key: exactly one of `secret`, `publicKey`, `jwks`. */
export interface Issuer {
  /** `iss`; required where there are several issuers. */
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  readonly leewaySeconds?: number | undefined;
  /** For HS256, at least 32 bytes of UTF-8. */
  readonly secret?: string | undefined;
  /** PEM or JWK. */
  readonly publicKey?: string | undefined;
  /** URL of a JWK Set. */
  readonly jwks?: string | undefined;
  /** The declared use of the key (`use`), if any. With `jwks`: only such keys are used. */
  readonly algorithm?: Algorithm | undefined;
}

export interface VerifierOptions {
  /** At least one. With several, or where one has a name, `iss` chooses. */
  readonly issuers: readonly Issuer[];
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: AuthLimits;
  /** In place of HTTP. */
  readonly fetchKeySet?: FetchKeySet;
}

/**
 * Makes what verifies tokens; nothing is fetched before `start` or the first token.
 * @throws KeyError for a key that cannot be used
 */
export function createVerifier(options: VerifierOptions): TokenVerifier {
  return new JwtVerifier(options);
}

interface TrustedIssuer {
  readonly rules: ClaimRules;
  readonly keys: KeySource;
}

class JwtVerifier implements TokenVerifier {
  readonly #issuers: readonly TrustedIssuer[];
  readonly #sets: readonly Jwks[];
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: AuthLimits;
  readonly #verified: VerifiedTokens;

  constructor(options: VerifierOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#limits = options.limits;
    this.#verified = new VerifiedTokens(options.limits.verifiedTokenBytesMax);
    this.#issuers = options.issuers.map((issuer) => ({
      rules: {
        issuer: issuer.issuer,
        audience: issuer.audience,
        leewayMs: (issuer.leewaySeconds ?? 0) * 1_000,
      },
      keys: createKeys(issuer, options),
    }));
    this.#sets = this.#issuers.map(({ keys }) => keys).filter((keys) => keys instanceof Jwks);
  }

  start(): void {
    for (const set of this.#sets) set.start();
  }

  stop(): void {
    for (const set of this.#sets) set.stop();
  }

  async verify(token: string): Promise<Identity> {
    // Before anything is done with it whose cost grows with its length.
    if (token.length > this.#limits.tokenBytesMax)
      refuse(`A token has at most ${this.#limits.tokenBytesMax} bytes.`);
    const known = this.#verified.find(token);
    if (known?.keys.isCurrent(known.key) === true) {
      checkValidity(known.validity, this.#clock.nowMs());
      return known.identity;
    }
    if (known !== undefined) this.#verified.forget(token);
    const read = readToken(token, this.#limits);
    const { rules, keys } = this.#chooseIssuer(read);
    const key = await keys.find(read.algorithm, read.keyId);
    if (key === undefined)
      refuse('The token is not signed with a key of its issuer: its alg or kid matches no key.');
    await this.#checkSignature(token, key);
    const context = { nowMs: this.#clock.nowMs(), limits: this.#limits };
    const { identity, validity } = readClaims(read.payload, rules, context);
    this.#verified.keep(token, { identity, validity, keys, key });
    return identity;
  }

  /** Which one is all that is believed of a token before its signature: `iss` is compared and leads nowhere. */
  #chooseIssuer({ payload: { iss: name } }: ReadToken): TrustedIssuer {
    const [only, ...others] = this.#issuers;
    const chosen =
      others.length === 0 && only?.rules.issuer === undefined
        ? only
        : this.#issuers.find(({ rules }) => rules.issuer === name);
    return chosen ?? refuse('The issuer of the token is not configured here.');
  }

  async #checkSignature(token: string, { key, algorithm }: VerificationKey): Promise<void> {
    try {
      await compactVerify(token, key, { algorithms: [algorithm] });
    } catch (error) {
      if (!(error instanceof errors.JOSEError))
        this.#log.error({ err: error, algorithm }, 'a signature could not be verified');
      refuse('The signature of the token is not valid.');
    }
  }
}

function createKeys(issuer: Issuer, options: VerifierOptions): KeySource {
  const { secret, publicKey, jwks, algorithm } = issuer;
  if (secret !== undefined) return new OneKey(readSecret(secret));
  if (publicKey !== undefined) return new OneKey(readPublicKey(publicKey));
  if (jwks === undefined) throw new TypeError('an issuer without a key');
  return new Jwks({ fetchKeySet, ...options, url: jwks, algorithm });
}

/** A key that is configured. It has no name, so `kid` says nothing about it. */
class OneKey implements KeySource {
  readonly #key: VerificationKey;

  constructor(key: VerificationKey) {
    this.#key = key;
  }

  find(algorithm: string): Promise<VerificationKey | undefined> {
    return Promise.resolve(algorithm === this.#key.algorithm ? this.#key : undefined);
  }

  isCurrent(): boolean {
    return true;
  }
}
