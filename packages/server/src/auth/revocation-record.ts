import type { Revocable } from '../core/sessions/access.ts';

export type Revocation = Revocable & { readonly revokedAtMs: number };

/** The stored form of a revocation: one line of JSON. */
export function encodeRevocation(revocation: Revocation): Buffer {
  return Buffer.from(JSON.stringify(revocation));
}

/** `undefined` when the row is not a revocation. */
export function decodeRevocation(bytes: Buffer): Revocation | undefined {
  let row: unknown;
  try {
    row = JSON.parse(bytes.toString());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof row !== 'object' || row === null) return undefined;
  const { subject, tokenId, revokedAtMs, untilMs } = row as Readonly<Record<string, unknown>>;
  if (!isDate(revokedAtMs) || (untilMs !== undefined && !isDate(untilMs))) return undefined;
  if (typeof subject === 'string' && tokenId === undefined) return { subject, revokedAtMs, untilMs };
  if (typeof tokenId === 'string' && subject === undefined) return { tokenId, revokedAtMs, untilMs };
  return undefined;
}

function isDate(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
