/** When a delivery that failed is tried again. */

const secondMs = 1_000;
const hourMs = 3_600 * secondMs;

/** Endpoints that failed together must not come back together. */
const jitterShare = 0.2;

/** What a receiver may ask for at most: a wrong `Retry-After` must not silence it for a year. */
export const retryAfterMsMax = 24 * hourMs;

export interface Failing {
  /** Attempts that have failed in a row, at least 1. */
  readonly failures: number;
  /** From 0 to 1. */
  readonly chance: number;
  /** What the receiver's `Retry-After` said; it is waited for at least that long. */
  readonly askedMs: number | undefined;
}

/** @param delaysMs before the second attempt, the third and so on; then always the last */
export function retryDelayMs(delaysMs: readonly number[], { failures, chance, askedMs }: Failing): number {
  const plainMs = delaysMs[Math.min(failures, delaysMs.length) - 1]!;
  const delayMs = plainMs * (1 - jitterShare + 2 * jitterShare * chance);
  return Math.round(Math.max(delayMs, Math.min(askedMs ?? 0, retryAfterMsMax)));
}

/** Reads `Retry-After` (RFC 9110 §10.2.3): seconds or a date. `undefined` for anything else, which is then ignored. */
export function parseRetryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text.trim())) return Math.min(Number(text) * secondMs, retryAfterMsMax);
  // Only the date of HTTP: `Date.parse` alone would take "-1" for a year.
  if (!/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(text.trim())) return undefined;
  const atMs = Date.parse(text);
  if (Number.isNaN(atMs)) return undefined;
  return Math.min(Math.max(0, atMs - nowMs), retryAfterMsMax);
}
