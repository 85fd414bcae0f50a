import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type KeyObject,
  X509Certificate,
  type webcrypto,
} from 'node:crypto';
import { JsonFault, parseStrictJson, type JsonObject } from '@everywire/protocol';
import { isObject } from './read-token.ts';

/** The signature algorithms of this server (RFC 7518 §3.1, RFC 8037 §3.1). */
export const algorithms = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const;

export type Algorithm = (typeof algorithms)[number];

/** A key, and the only algorithm that it may be used with. */
export interface VerificationKey {
  readonly algorithm: Algorithm;
  readonly key: webcrypto.CryptoKey;
}

/** The source of an issuer's keys. */
export interface KeySource {
  /**
   * The keys that may have signed a token with that algorithm and key name, few enough to try them all.
   * @throws EverywireError `store_unavailable` if the keys cannot be had now
   */
  find(algorithm: string, keyId: string | undefined): Promise<readonly VerificationKey[]>;
  /** Whether tokens that were verified with that key are still valid. */
  isCurrent(key: VerificationKey): boolean;
}

/** A key that cannot be used. The message is for operators, and has no byte of the key. */
export class KeyError extends Error {
  override readonly name = 'KeyError';
}

/** RFC 7518 §3.2: as long as the hash, at least. */
const secretBytesMin = 32;
/** RFC 7518 §3.3. Verifying a signature with a larger key takes too long. */
const rsaBitsMin = 2_048;
const rsaBitsMax = 8_192;

/**
 * A shared secret, in UTF-8, for HS256. Refuses public keys and certificates: everyone knows them, so everyone could
 * sign tokens.
 * @throws KeyError
 */
export function readSecret(text: string): VerificationKey {
  const bytes = Buffer.from(text);
  if (isPublished(text))
    throw new KeyError('the secret is a key or certificate in PEM, DER or JWK form, which others may know');
  if (bytes.length < secretBytesMin)
    throw new KeyError(`the secret has ${bytes.length} bytes, and HS256 needs at least ${secretBytesMin}`);
  const key = createSecretKey(bytes).toCryptoKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  return { algorithm: 'HS256', key };
}

/**
 * A public key as PEM (key or certificate) or JWK; its kind decides the algorithm.
 * @throws KeyError
 */
export function readPublicKey(text: string): VerificationKey {
  const json = parseText(text.trim());
  if (json !== undefined) return readJwk(json);
  // In environment variables line breaks are commonly written as \n.
  const pem = text.replaceAll('\\n', '\n');
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem))
    throw new KeyError(
      'that is a private key; only its issuer may have it, this server needs the public one',
    );
  if (!pem.includes('-----BEGIN ')) throw new KeyError('that is neither PEM nor a JWK');
  return fromKeyObject(attempt(() => createPublicKey(pem)));
}

/** A key of a set, or a single key (RFC 7517 §4). @throws KeyError */
export function readJwk(jwk: JsonObject): VerificationKey {
  const { kty: kind, use, key_ops: operations, alg: algorithm } = jwk;
  if (kind === 'oct') throw new KeyError('a symmetric key is no public key');
  if (jwk['d'] !== undefined || jwk['k'] !== undefined) throw new KeyError('that is a private key');
  if (use !== undefined && use !== 'sig') throw new KeyError('its use is not sig');
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    throw new KeyError('its key_ops have no verify');
  // Only the members of the key itself: `createPublicKey` must not see other members of an untrusted JWK.
  const { n, e, crv, x, y } = jwk;
  const members: Readonly<Record<string, unknown>> = { kty: kind, n, e, crv, x, y };
  const present = Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
  const key = fromKeyObject(attempt(() => createPublicKey({ key: present, format: 'jwk' })));
  if (algorithm !== undefined && algorithm !== key.algorithm)
    throw new KeyError(`its alg is not ${key.algorithm}, which is what such a key is used for here`);
  return key;
}

function fromKeyObject(key: KeyObject): VerificationKey {
  const { asymmetricKeyType: kind, asymmetricKeyDetails: { modulusLength = 0, namedCurve } = {} } = key;
  if (kind === 'rsa') {
    if (modulusLength < rsaBitsMin || modulusLength > rsaBitsMax)
      throw new KeyError(`an RSA key has ${rsaBitsMin} to ${rsaBitsMax} bits`);
    const parameters = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
    return { algorithm: 'RS256', key: key.toCryptoKey(parameters, false, ['verify']) };
  }
  if (kind === 'ec' && namedCurve === 'prime256v1') {
    const parameters = { name: 'ECDSA', namedCurve: 'P-256' };
    return { algorithm: 'ES256', key: key.toCryptoKey(parameters, false, ['verify']) };
  }
  if (kind === 'ed25519') {
    return { algorithm: 'EdDSA', key: key.toCryptoKey({ name: 'Ed25519' }, false, ['verify']) };
  }
  throw new KeyError('a key is RSA (RS256), of the curve P-256 (ES256), or Ed25519 (EdDSA)');
}

/** OpenSSL's message is not passed on: it always has the same cause, and may quote the key. */
function attempt(read: () => KeyObject): KeyObject {
  try {
    return read();
  } catch {
    throw new KeyError('the key cannot be read');
  }
}

/** A depth that is larger than that of any JWK or JWK Set. */
const jwkDepthMax = 8;

function parseText(text: string): JsonObject | undefined {
  const value = text.startsWith('{') ? parseStrictJson(text, { depthMax: jwkDepthMax }) : null;
  return value instanceof JsonFault || !isObject(value) ? undefined : value;
}

/** Whether a "secret" is public material: PEM, a JWK or a set of them, or DER, binary or as text. */
function isPublished(text: string): boolean {
  const bare = text.replace(/^[\s\uFEFF]+/, '').trim();
  if (bare.includes('-----BEGIN ')) return true;
  const json = parseText(bare);
  if (json?.['kty'] !== undefined || json?.['keys'] !== undefined) return true;
  // `Buffer.from` stops at the first character outside the encoding; for base64 it reads both alphabets.
  const readings = [Buffer.from(bare, 'base64'), Buffer.from(bare, 'hex'), Buffer.from(text, 'latin1')];
  return readings.some((bytes) => bytes[0] === derSequence && isDer(bytes));
}

/** The first byte of every such structure (X.690 §8.9.1). */
const derSequence = 0x30;

function isDer(key: Buffer): boolean {
  const forms: readonly (() => unknown)[] = [
    () => new X509Certificate(key),
    () => createPublicKey({ key, format: 'der', type: 'spki' }),
    () => createPublicKey({ key, format: 'der', type: 'pkcs1' }),
    () => createPrivateKey({ key, format: 'der', type: 'pkcs8' }),
    () => createPrivateKey({ key, format: 'der', type: 'pkcs1' }),
    () => createPrivateKey({ key, format: 'der', type: 'sec1' }),
  ];
  return forms.some((read) => {
    try {
      read();
      return true;
    } catch {
      return false;
    }
  });
}
