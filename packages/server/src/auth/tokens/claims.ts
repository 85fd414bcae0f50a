import {
  EverywireError,
  levelOfSubject,
  parseFilter,
  type JsonObject,
  type JsonValue,
} from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { AuthLimits } from '../limits.ts';
import { isObject } from './read-token.ts';
import { refuse } from './refusal.ts';

export interface ClaimRules {
  /** `iss` must be exactly this; absent: any issuer. */
  readonly issuer?: string | undefined;
  /** `aud` must be this or contain it; absent: the token must not name an audience. */
  readonly audience?: string | undefined;
  /** How far the issuer's clock and ours may differ, in either direction. */
  readonly leewayMs: number;
}

type ClaimLimits = Pick<
  AuthLimits,
  'subjectBytesMax' | 'tokenRulesMax' | 'nameBytesMax' | 'nameLevelsMax' | 'filterWildcardsMax'
>;

/** The period in which a token is valid, in milliseconds since 1970, with the leeway. */
export interface Validity {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface ReadClaims {
  readonly identity: Identity;
  readonly validity: Validity;
}

/** The last moment that a `Date` can hold (ECMA-262 §21.4.1.1), so that callers can format it as one. */
export const lastMs = 8.64e15;

/**
 * How far in the future `iat` and `nbf` may be, which many issuers set to the same moment. The clocks of synchronised machines differ by less; without this allowance the
 * server would refuse one in a hundred fresh tokens.
 */
const aheadMsMax = 5_000;

/** C0, DEL and C1. */
const control = /[\u0000-\u001f\u007f-\u009f]/;

/**
 * Reads the payload of a token with a valid signature (RFC 7519 §4.1, and our member `everywire`).
 * @throws EverywireError `unauthorized` if a known claim has a wrong form
 */
export function readClaims(
  payload: JsonObject,
  rules: ClaimRules,
  { nowMs, limits }: { readonly nowMs: number; readonly limits: ClaimLimits },
): ReadClaims {
  checkIssuer(payload['iss'], rules);
  checkAudience(payload['aud'], rules);
  const subject = readSubject(payload['sub'], limits);
  const expiresAtMs = readDate(payload, 'exp');
  if (expiresAtMs === undefined) refuse('The token has no exp claim; every token must expire.');
  const notBeforeMs = readDate(payload, 'nbf') ?? 0;
  const issuedAtMs = readDate(payload, 'iat');
  const validity = {
    fromMs: Math.max(notBeforeMs, issuedAtMs ?? 0) - Math.max(rules.leewayMs, aheadMsMax),
    untilMs: Math.min(lastMs, expiresAtMs + rules.leewayMs),
  };
  checkValidity(validity, nowMs);
  const { isAdmin, subscribe, publish } = readRights(payload['everywire'], subject, limits);
  const claims = {
    subscribe,
    publish,
    expiresAtMs: validity.untilMs,
    // A token of an issuer whose clock is ahead must not escape a later revocation.
    issuedAtMs: issuedAtMs === undefined ? undefined : Math.min(issuedAtMs, nowMs),
    tokenId: readTokenId(payload['jti'], limits),
  };
  return { identity: { subject, isAdmin, claims }, validity };
}

/** @throws EverywireError `unauthorized`: expired (RFC 7519 §4.1.4: on that date too), or not valid yet */
export function checkValidity({ fromMs, untilMs }: Validity, nowMs: number): void {
  if (nowMs >= untilMs) refuse('The token has expired.');
  if (nowMs < fromMs)
    refuse('The token is not valid yet (nbf or iat). Check the clocks of issuer and server.');
}

function checkIssuer(issuer: JsonValue | undefined, { issuer: wanted }: ClaimRules): void {
  if (issuer !== undefined && typeof issuer !== 'string')
    refuse('The iss claim of a token must be a string.');
  if (wanted !== undefined && issuer !== wanted) refuse('The iss claim of the token names another issuer.');
}

function checkAudience(audience: JsonValue | undefined, { audience: wanted }: ClaimRules): void {
  if (audience === undefined) {
    if (wanted !== undefined) refuse('The token has no aud claim.');
    return;
  }
  const all: readonly JsonValue[] = Array.isArray(audience) ? (audience as readonly JsonValue[]) : [audience];
  if (!all.every((one) => typeof one === 'string'))
    refuse('The aud claim of a token must be a string or a list of strings.');
  // RFC 7519 §4.1.3: a recipient must refuse a token if `aud` does not name it; a recipient without a name must refuse
  // every `aud`.
  if (wanted === undefined)
    refuse('The token has an aud claim, and this server has no audience (auth.jwt.audience).');
  if (!all.includes(wanted)) refuse('The token is for another audience.');
}

/** In milliseconds since 1970; fractions of a second count. RFC 7519 §2, NumericDate. */
function readDate(payload: JsonObject, name: 'exp' | 'nbf' | 'iat'): number | undefined {
  const seconds = payload[name];
  if (seconds === undefined) return undefined;
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds < 0)
    refuse(`The ${name} of a token must be a number: seconds since 1970.`);
  return Math.min(lastMs, Math.floor(seconds * 1_000));
}

/** Rules, names of sessions and log lines may contain it. @throws EverywireError `unauthorized` */
export function readSubject(subject: JsonValue | undefined, limits: ClaimLimits): string {
  if (typeof subject !== 'string') refuse('The token has no sub claim.');
  if (!isName(subject, limits)) {
    refuse(`The sub of a token has 1 to ${limits.subjectBytesMax} bytes and no control characters.`);
  }
  return subject;
}

function readTokenId(tokenId: JsonValue | undefined, limits: ClaimLimits): string | undefined {
  if (tokenId === undefined) return undefined;
  if (typeof tokenId !== 'string' || !isName(tokenId, limits)) {
    refuse(`The jti of a token is text of 1 to ${limits.subjectBytesMax} bytes, without control characters.`);
  }
  return tokenId;
}

function isName(text: string, { subjectBytesMax }: ClaimLimits): boolean {
  return text !== '' && Buffer.byteLength(text) <= subjectBytesMax && !control.test(text);
}

/** The rights in the claim `everywire`. */
export interface Rights {
  readonly isAdmin: boolean;
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
}

const rightNames: ReadonlySet<string> = new Set(['subscribe', 'publish', 'admin']);

/** @throws EverywireError `unauthorized` */
export function readRights(rights: JsonValue | undefined, subject: string, limits: ClaimLimits): Rights {
  if (rights === undefined) return { isAdmin: false, subscribe: [], publish: [] };
  if (!isObject(rights)) refuse('The claim everywire must be an object.');
  // A misspelt name would silently remove a list, and its denials with it.
  if (!Object.keys(rights).every((name) => rightNames.has(name)))
    refuse('The claim everywire has members other than subscribe, publish and admin.');
  const { admin = false } = rights;
  if (typeof admin !== 'boolean') refuse('everywire.admin must be true or false.');
  const listOf = (name: 'subscribe' | 'publish'): readonly string[] => {
    const list = rights[name];
    if (list === undefined) return admin ? ['**'] : [];
    return readRules(list, { name, subject, limits });
  };
  return { isAdmin: admin, subscribe: listOf('subscribe'), publish: listOf('publish') };
}

interface ListContext {
  readonly name: string;
  readonly subject: string;
  readonly limits: ClaimLimits;
}

function readRules(list: JsonValue, context: ListContext): readonly string[] {
  const { name, limits } = context;
  if (!Array.isArray(list)) refuse(`everywire.${name} must be a list of filters.`);
  if (list.length > limits.tokenRulesMax)
    refuse(`everywire.${name} has at most ${limits.tokenRulesMax} filters.`);
  return (list as readonly JsonValue[]).map((rule) => {
    if (typeof rule !== 'string') refuse(`everywire.${name} must be a list of filters.`);
    return readRule(rule, context);
  });
}

const placeholder = '{sub}';

/** One rule in its canonical form, with `{sub}` replaced and `!` kept. */
function readRule(rule: string, { name, subject, limits }: ListContext): string {
  const denies = rule.startsWith('!');
  const pattern = denies ? rule.slice(1) : rule;
  try {
    // A function, because $ has a special meaning in a replacement text.
    const { text } = parseFilter(
      pattern.replaceAll(placeholder, () => levelOfSubject(subject)),
      limits,
    );
    return denies ? `!${text}` : text;
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    refuse(`everywire.${name} has an invalid filter. ${error.message}`);
  }
}
