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

/** Verifies tokens and returns their identity. Other parts check revocations and permissions. */
export interface Verifier {
  /**
   * Resolves to the token's subject and claims; the same object as before while the token is remembered.
   * @throws EverywireError `unauthorized`, with a reason that has no byte of the token
   */
  verify(token: string): Promise<Identity>;
}

/** A verifier with keys to fetch. */
export interface TokenVerifier extends Verifier {
  /** Fetches key sets. A token that comes before waits for them. */
  start(): void;
  stop(): void;
}

/** A trusted issuer and its key: exactly one of `secret`, `publicKey`, `jwks`. */
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
  /** At least one. If there are several, or one has a name, `iss` selects the issuer. */
  readonly issuers: readonly Issuer[];
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: AuthLimits;
  /** Replaces HTTP. */
  readonly fetchKeySet?: FetchKeySet;
}

/** Creates a verifier; it fetches nothing before `start` or the first token. @throws KeyError for an unusable key */
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
    // Checked first, before any work whose cost grows with the length.
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
    const candidates = await keys.find(read.algorithm, read.keyId);
    if (candidates.length === 0)
      refuse('The token is not signed with a key of its issuer: its alg or kid matches no key.');
    const key = await this.#findSigner(token, candidates);
    const context = { nowMs: this.#clock.nowMs(), limits: this.#limits };
    const { identity, validity } = readClaims(read.payload, rules, context);
    this.#verified.keep(token, { identity, validity, keys, key });
    return identity;
  }

  /** Before the signature is verified, `iss` serves only to select a configured issuer; it leads nowhere else. */
  #chooseIssuer({ payload: { iss: name } }: ReadToken): TrustedIssuer {
    const [only, ...others] = this.#issuers;
    const chosen =
      others.length === 0 && only?.rules.issuer === undefined
        ? only
        : this.#issuers.find(({ rules }) => rules.issuer === name);
    return chosen ?? refuse('The issuer of the token is not configured here.');
  }

  async #findSigner(token: string, candidates: readonly VerificationKey[]): Promise<VerificationKey> {
    for (const candidate of candidates) if (await this.#isSignedWith(token, candidate)) return candidate;
    return refuse('The signature of the token is not valid.');
  }

  async #isSignedWith(token: string, { key, algorithm }: VerificationKey): Promise<boolean> {
    try {
      await compactVerify(token, key, { algorithms: [algorithm] });
      return true;
    } catch (error) {
      if (!(error instanceof errors.JOSEError))
        this.#log.error({ err: error, algorithm }, 'a signature could not be verified');
      return false;
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

/** A configured key. It has no name, so it ignores `kid`. */
class OneKey implements KeySource {
  readonly #key: VerificationKey;

  constructor(key: VerificationKey) {
    this.#key = key;
  }

  find(algorithm: string): Promise<readonly VerificationKey[]> {
    return Promise.resolve(algorithm === this.#key.algorithm ? [this.#key] : []);
  }

  isCurrent(): boolean {
    return true;
  }
}
