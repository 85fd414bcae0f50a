import { createPrivateKey, createSecretKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { SignJWT, type JWTPayload } from 'jose';
import type { Algorithm } from './tokens/keys.ts';

/** The key that signs tokens: the half that a server needs only if it issues them. */
export interface SigningKey {
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
}

/** A key that cannot sign. The message has no byte of the key. */
export class SigningKeyError extends Error {
  override readonly name = 'SigningKeyError';
}

/** The shared secret of `auth.jwt.secret`. */
export function secretSigningKey(secret: string): SigningKey {
  return { algorithm: 'HS256', key: createSecretKey(Buffer.from(secret)) };
}

/**
 * A private key as PEM or JWK; its kind decides the algorithm, as the server does with its public half.
 * @throws SigningKeyError
 */
export function readSigningKey(text: string): SigningKey {
  const key = readPrivateKey(text);
  const { asymmetricKeyType: kind, asymmetricKeyDetails: { namedCurve } = {} } = key;
  if (kind === 'rsa') return { algorithm: 'RS256', key };
  if (kind === 'ec' && namedCurve === 'prime256v1') return { algorithm: 'ES256', key };
  if (kind === 'ed25519') return { algorithm: 'EdDSA', key };
  throw new SigningKeyError('a key is RSA (RS256), of the curve P-256 (ES256), or Ed25519 (EdDSA)');
}

/** Signs the claims unchanged (RFC 7519 §7.1). */
export function signToken(
  { algorithm, key }: SigningKey,
  claims: JWTPayload,
  keyId?: string,
): Promise<string> {
  const header = { alg: algorithm, typ: 'JWT', ...(keyId === undefined ? {} : { kid: keyId }) };
  return new SignJWT(claims).setProtectedHeader(header).sign(key);
}

function readPrivateKey(text: string): KeyObject {
  // The library's message about a key may repeat a part of the key.
  try {
    if (text.trimStart().startsWith('{'))
      return createPrivateKey({ key: JSON.parse(text) as JsonWebKey, format: 'jwk' });
    return createPrivateKey(text);
  } catch {
    throw new SigningKeyError('the key is not an unencrypted private key in PEM or JWK form');
  }
}
