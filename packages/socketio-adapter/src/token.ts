/** A bearer token, or what makes a new one whenever one is needed. */
export type GivenToken = string | (() => string | Promise<string>);

/** What is left of a token's time when the next one is asked for, at the most. */
const refreshAheadMs = 60_000;
/** The longest that a timer of Node can wait. */
const timerMsMax = 2 ** 31 - 1;

export async function currentToken(given: GivenToken | undefined): Promise<string | undefined> {
  return typeof given === 'function' ? await given() : given;
}

/**
 * When to ask for the token that follows, in milliseconds from now: a minute before this one ends, or after four fifths of a
 * shorter time. `undefined` for one that does not say when it ends (RFC 7519 §4.1.4). Its signature is the server's business.
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
