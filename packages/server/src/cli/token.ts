import { readFileSync } from 'node:fs';
import {
  EverywireError,
  parseDurationMs,
  JsonFault,
  parseStrictJson,
  type JsonObject,
  type JsonValue,
} from '@everywire/protocol';
import {
  readSigningKey,
  secretSigningKey,
  SigningKeyError,
  signToken,
  type SigningKey,
} from '../auth/sign.ts';
import { readClaims } from '../auth/tokens/claims.ts';
import { isObject } from '../auth/tokens/read-token.ts';
import { createVerifier, type Issuer } from '../auth/tokens/verifier.ts';
import { issuersOf } from '../config/auth.ts';
import type { Config } from '../config/schema.ts';
import type { AuthLimits } from '../auth/limits.ts';
import { systemClock } from '../runtime/clock.ts';
import { createLog } from '../telemetry/log.ts';
import { loadHere } from './config.ts';
import { CommandError } from './exit.ts';
import type { ServeFlags } from './flags.ts';
import { say, write } from './output.ts';

export interface TokenOptions {
  readonly sub?: string;
  readonly subscribe?: readonly string[];
  readonly publish?: readonly string[];
  readonly admin?: boolean;
  readonly expires: string;
  readonly jti?: string;
  /** More claims, as a JSON object. The other options override them. */
  readonly claims?: string;
  /** File of a private key. */
  readonly key?: string;
  /** `kid`: the name of the key in its set. */
  readonly kid?: string;
}

/**
 * `everywire token`: prints only a token, signed with a private key or with the secret of the configuration here.
 * Refuses claims that the server would refuse.
 */
export async function token(flags: ServeFlags, options: TokenOptions): Promise<void> {
  const { config } = loadHere(flags);
  const given = readMore(options);
  const issuer = chooseIssuer(config, given['iss']);
  const key = chooseKey(issuer, options);
  const claims = makeClaims(issuer, given, options);
  checkClaims(claims, issuer, config.limits);
  const signed = await signToken(key, claims, options.kid);
  await noteIfRefused(signed, config, options);
  await write(`${signed}\n`);
}

/** The issuer among those that the server trusts; `undefined` when there is not exactly one. */
function chooseIssuer(config: Config, name: JsonValue | undefined): Issuer | undefined {
  const fitting = issuersOf(config).filter(
    ({ issuer }) => name === undefined || issuer === undefined || issuer === name,
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

function chooseKey(issuer: Issuer | undefined, { key: path }: TokenOptions): SigningKey {
  if (path !== undefined) return readKeyFile(path);
  if (issuer?.secret !== undefined) return secretSigningKey(issuer.secret);
  throw new CommandError(
    'usage',
    'There is nothing to sign with: set EVERYWIRE_JWT_SECRET or auth.jwt.secret as the server has it, or give ' +
      '--key with the file of a private key. Of several issuers, --claims says iss.',
  );
}

function readKeyFile(path: string): SigningKey {
  try {
    return readSigningKey(readFileSync(path, 'utf8'));
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const words = cause instanceof SigningKeyError ? cause.message : `it cannot be read (${code})`;
    throw new CommandError('usage', `--key ${path}: ${words}.`, cause);
  }
}

function makeClaims(issuer: Issuer | undefined, given: JsonObject, options: TokenOptions): JsonObject {
  const { sub, subscribe, publish, admin, expires, jti } = options;
  const durationMs = parseDurationMs(expires);
  if (durationMs === undefined || durationMs < 1_000)
    throw new CommandError('usage', `--expires is a length of time such as 90s, 1h or 30d, not ${expires}.`);
  const issuedAt = Math.floor(systemClock.nowMs() / 1_000);
  const { everywire = {} } = given;
  const rights = { subscribe, publish, admin };
  return present({
    iss: issuer?.issuer,
    aud: issuer?.audience,
    iat: issuedAt,
    exp: issuedAt + Math.floor(durationMs / 1_000),
    ...given,
    ...present({ sub, jti }),
    everywire: isObject(everywire) ? { ...everywire, ...present(rights) } : everywire,
  });
}

const depthMax = 32;

function readMore({ claims: text }: TokenOptions): JsonObject {
  if (text === undefined) return {};
  const claims = parseStrictJson(text, { depthMax });
  if (!(claims instanceof JsonFault) && isObject(claims)) return claims;
  throw new CommandError('usage', `--claims is a JSON object such as '{"aud":"app"}', with each name once.`);
}

/** A copy without the undefined members. */
function present(members: Readonly<Record<string, unknown>>): JsonObject {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as JsonObject;
}

/** Checks the claims that every server checks; each server decides itself which issuers it trusts. */
function checkClaims(claims: JsonObject, issuer: Issuer | undefined, limits: AuthLimits): void {
  const rules = {
    issuer: issuer?.issuer,
    audience: issuer?.audience ?? anyOf(claims['aud']),
    leewayMs: (issuer?.leewaySeconds ?? 0) * 1_000,
  };
  try {
    readClaims(claims, rules, { nowMs: systemClock.nowMs(), limits });
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    throw new CommandError('usage', `A server would refuse that. ${error.message}`, error);
  }
}

function anyOf(audience: JsonValue | undefined): string | undefined {
  const first: JsonValue | undefined = Array.isArray(audience)
    ? (audience as readonly JsonValue[])[0]
    : audience;
  return typeof first === 'string' ? first : undefined;
}

/** Prints a note if this configuration would refuse the token: the key may belong to another server, or be a mistake. */
async function noteIfRefused(signed: string, config: Config, { key: path }: TokenOptions): Promise<void> {
  const issuers = issuersOf(config);
  if (path === undefined || issuers.length === 0 || issuers.some(({ jwks }) => jwks !== undefined)) return;
  const log = createLog({ ...config.log, level: 'silent' });
  try {
    await createVerifier({ issuers, clock: systemClock, log, limits: config.limits }).verify(signed);
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    say(`note: a server with the configuration here would refuse it. ${error.message}`);
  }
}
