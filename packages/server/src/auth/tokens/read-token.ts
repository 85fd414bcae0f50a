import { JsonFault, RawJson, type JsonObject, type JsonValue } from '@everywire/protocol';
import type { AuthLimits } from '../limits.ts';
import { parseJsonBytes } from '../../http/json-bytes.ts';
import { refuse } from './refusal.ts';

/** The content of a token. Trust no claim before the signature is verified. */
export interface ReadToken {
  /** `alg`: only compared with the algorithm of the key. It never chooses how to verify. */
  readonly algorithm: string;
  /** `kid`: the name of a key of the issuer. The server never uses it as a path, an address or a query. */
  readonly keyId: string | undefined;
  readonly payload: JsonObject;
}

type FormLimits = Pick<AuthLimits, 'tokenBytesMax' | 'jsonDepthMax'>;

const shape = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;

/** RFC 7515 §4.1.9: a media type, in any case; `application/` may be left out. */
const types: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']);

/**
 * Keys or addresses of keys inside the token (RFC 7515 §4.1.2–4.1.6), and changes to how to read it (`crit` §4.1.11,
 * `b64` RFC 7797). To follow them would let a forger choose the key.
 */
const forbidden = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64'] as const;

const keyIdShape = /^[\w.~+/=:@#-]{1,255}$/;

/**
 * Splits a token (compact form, RFC 7515 §7.1), without any cryptography. It is stricter than required where readers
 * may disagree: only canonical base64url (RFC 4648 §3.5), each name once, UTF-8, and the depth limit of the server's
 * own JSON.
 * @throws EverywireError `unauthorized`
 */
export function readToken(token: string, limits: FormLimits): ReadToken {
  if (token.length > limits.tokenBytesMax) refuse(`A token has at most ${limits.tokenBytesMax} bytes.`);
  const [, headerPart, payloadPart, signaturePart] = shape.exec(token) ?? [];
  if (headerPart === undefined || payloadPart === undefined || signaturePart === undefined)
    refuse('The token is not a signed JWT: three base64url parts, separated by dots.');
  decode(signaturePart);
  const header = readObject(headerPart, 'header', limits);
  for (const name of forbidden) {
    if (header[name] !== undefined) refuse(`The header of a token must not have ${name}.`);
  }
  const { alg: algorithm, typ: type, kid: keyId } = header;
  if (typeof algorithm !== 'string') refuse('The header of a token must have alg.');
  if (type !== undefined && !(typeof type === 'string' && types.has(type.toLowerCase())))
    refuse('The typ of a token must be JWT or absent.');
  if (keyId !== undefined && !isKeyId(keyId)) refuse('The kid of the token is not a valid key name.');
  return { algorithm, keyId, payload: readObject(payloadPart, 'payload', limits) };
}

/** Whether the text can name a key. Issuers use no `..` and no quotes in names, but attackers do. */
export function isKeyId(keyId: JsonValue): keyId is string {
  return typeof keyId === 'string' && keyIdShape.test(keyId) && !keyId.includes('..');
}

/** `typeof` is "object" for all of them. */
export function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof RawJson);
}

function readObject(part: string, what: 'header' | 'payload', { jsonDepthMax }: FormLimits): JsonObject {
  const value = parseJsonBytes(decode(part), { depthMax: jsonDepthMax });
  if (value instanceof JsonFault) refuse(`The ${what} of the token cannot be read. ${value.detail}`);
  if (!isObject(value)) refuse(`The ${what} of a token must be a JSON object.`);
  return value;
}

function decode(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  // With spare bits that are not zero, or an extra letter, the same bytes would have a second encoding.
  if (bytes.toString('base64url') !== part) refuse('The parts of a token must be canonical base64url.');
  return bytes;
}
