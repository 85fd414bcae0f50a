import { JsonFault, RawJson, type JsonObject, type JsonValue } from '@everywire/protocol';
import type { AuthLimits } from '../limits.ts';
import { parseJsonBytes } from '../../http/json-bytes.ts';
import { refuse } from './refusal.ts';

/** The claims of a token about itself. No claim may be believed before the signature was verified. */
export interface ReadToken {
  /** `alg`: compared with the key's, never the reason to choose how to verify. */
  readonly algorithm: string;
  /** `kid`: names a key of the issuer; a name and nothing else, so no path, address or query. */
  readonly keyId: string | undefined;
  readonly payload: JsonObject;
}

type FormLimits = Pick<AuthLimits, 'tokenBytesMax' | 'jsonDepthMax'>;

const shape = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;

/** RFC 7515 §4.1.9: a media type, the case of whose letters means nothing; `application/` may be left out. */
const types: ReadonlySet<string> = new Set(['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt']);

/**
 * Keys, or addresses of keys, that the token brings itself (RFC 7515 §4.1.2–4.1.6), and changes to how it is to be read
 * (`crit` §4.1.11, `b64` RFC 7797). Following them would let a forger choose the key.
 */
const forbidden = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64'] as const;

const keyIdShape = /^[\w.~+/=:@#-]{1,255}$/;

/**
 * Takes a token apart (compact form, RFC 7515 §7.1), without any cryptography. Stricter than it must be where readers
 * disagree: one spelling of base64url (RFC 4648 §3.5), each name once, UTF-8, no more depth than the server's own JSON.
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

/** Whether it can name a key: `..` and quotes are in no name that an issuer gives, and in many an attack. */
export function isKeyId(keyId: JsonValue): keyId is string {
  return typeof keyId === 'string' && keyIdShape.test(keyId) && !keyId.includes('..');
}

/** `typeof` knows no difference between them. */
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
  // Spare bits that are not zero, or a letter too many, would be a second spelling of the same bytes.
  if (bytes.toString('base64url') !== part) refuse('The parts of a token must be canonical base64url.');
  return bytes;
}
