import { JsonFault, type JsonValue } from '@everywire/protocol';
import type { AuthLimits } from '../limits.ts';
import { parseJsonBytes } from '../../http/json-bytes.ts';
import { KeyError, readJwk, type VerificationKey } from './keys.ts';
import { isKeyId, isObject } from './read-token.ts';

/** A key of a set, with the name that tokens use for it. */
export interface NamedKey {
  readonly keyId: string | undefined;
  readonly key: VerificationKey;
  /** The text of the key set, to see whether a new one is the same. */
  readonly source: string;
}

export interface KeySet {
  readonly keys: readonly NamedKey[];
  /** Why the other keys of the set are not used, one sentence each. */
  readonly ignored: readonly string[];
}

/** JWKs contain strings and lists of strings; an extension may be a little deeper. */
const depthMax = 8;

/**
 * Reads a JWK Set (RFC 7517 §5). Ignores keys with another purpose, such as encryption, as the RFC requires.
 * @throws KeyError if the text is not a key set, or has no usable key: the caller then keeps the known keys
 */
export function readKeySet(bytes: Buffer, { keySetKeysMax }: Pick<AuthLimits, 'keySetKeysMax'>): KeySet {
  const set = parseJsonBytes(bytes, { depthMax });
  if (set instanceof JsonFault) throw new KeyError('the answer is not JSON');
  const list = isObject(set) ? set['keys'] : undefined;
  if (!Array.isArray(list)) throw new KeyError('the answer is not a key set');
  if (list.length > keySetKeysMax) throw new KeyError(`the set has more than ${keySetKeysMax} keys`);
  const keys: NamedKey[] = [];
  const ignored: string[] = [];
  for (const [at, jwk] of (list as readonly JsonValue[]).entries()) {
    try {
      keys.push(readNamed(jwk));
    } catch (error) {
      if (!(error instanceof KeyError)) throw error;
      ignored.push(`keys[${at}]: ${error.message}`);
    }
  }
  if (keys.length === 0) throw new KeyError('the set has no key that can be used');
  return { keys, ignored };
}

function readNamed(jwk: JsonValue): NamedKey {
  if (!isObject(jwk)) throw new KeyError('a key is an object');
  const { kid: keyId } = jwk;
  if (keyId !== undefined && !isKeyId(keyId)) throw new KeyError('its kid cannot be asked for by a token');
  return { keyId, key: readJwk(jwk), source: JSON.stringify(jwk) };
}
