/** A bearer token, or a function that returns a new one. */
export type GivenToken = string | (() => string | Promise<string>);

/** The next token is requested at most this long before the current token ends. */
const refreshAheadMs = 60_000;
/** The longest timeout of Node. */
const timerMsMax = 2 ** 31 - 1;

export async function currentToken(given: GivenToken | undefined): Promise<string | undefined> {
  return typeof given === 'function' ? await given() : given;
}

/**
 * When to request the next token, in milliseconds from now: a minute before this token ends, or after four fifths of a
 * shorter time. `undefined` for a token that never ends (RFC 7519 §4.1.4). The server verifies its signature.
 */
export function refreshInMs(token: string, nowMs: number): number | undefined {
  const expiresAtSeconds = expiryOf(token);
  if (expiresAtSeconds === undefined) return undefined;
  const leftMs = expiresAtSeconds * 1_000 - nowMs;
  return Math.min(timerMsMax, Math.max(0, leftMs - refreshAheadMs, leftMs * 0.8));
}

function expiryOf(token: string): number | undefined {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as unknown;
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined;
    return typeof exp === 'number' ? exp : undefined;
  } catch {
    return undefined;
  }
}
