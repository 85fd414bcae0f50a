import { retryAfterMsMax } from '@everywire/protocol';

/** Endpoints that failed together must not come back together. */
const jitterShare = 0.2;

export interface Failing {
  /** Attempts that have failed in a row, at least 1. */
  readonly failures: number;
  /** From 0 to 1. */
  readonly chance: number;
  /** The time in the receiver's `Retry-After`; the next attempt waits at least that long. */
  readonly askedMs: number | undefined;
}

/**
 * The wait before the next attempt.
 * @param delaysMs the waits before the second attempt, the third and so on; the last one repeats
 */
export function retryDelayMs(delaysMs: readonly number[], { failures, chance, askedMs }: Failing): number {
  const plainMs = delaysMs[Math.min(failures, delaysMs.length) - 1]!;
  const delayMs = plainMs * (1 - jitterShare + 2 * jitterShare * chance);
  return Math.round(Math.max(delayMs, Math.min(askedMs ?? 0, retryAfterMsMax)));
}
