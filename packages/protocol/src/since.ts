import { EverywireError } from './errors.ts';

/** A start of reading that is not a cursor. */
export type Start =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'last'; readonly count: number }
  /** The first message published at or after this instant, if the clocks are right. */
  | { readonly kind: 'time'; readonly timeMs: number };

/** A start of reading: the text of a cursor, not yet checked, or a described start. */
export type From = { readonly after: string } | { readonly since: Start };

const durationUnitsMs: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

// RFC 3339 §5.6, with a four-digit year; a space instead of T is not accepted.
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;

const amount = String.raw`\d{1,12}(?:\.\d{1,3})?`;
/** ISO 8601-1 §5.5.2.3 without years and months, which have no fixed length. */
const isoPattern = String.raw`P(?=[\dT])(?:(\d{1,12})W|(?:(\d{1,12})D)?(?:T(?=\d)(?:(\d{1,12})H)?(?:(\d{1,12})M)?(?:(${amount})S)?)?)`;
const isoUnitsMs = [7 * 86_400_000, 86_400_000, 3_600_000, 60_000, 1_000] as const;

/** The texts that `parseDurationMs` reads, as a pattern of JSON Schema. */
export const durationPattern = `^(?:${amount}(?:ms|s|m|h|d)?|${isoPattern})$`;

const isoDuration = new RegExp(`^${isoPattern}$`);

/**
 * Reads a length of time: `500ms`, `30s`, `5m`, `2h`, `7d`; a bare number is seconds. `undefined` for other text. A
 * length beyond the exact range of milliseconds (285,000 years) becomes the largest exact one.
 */
export function parseDurationMs(text: string): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)(ms|s|m|h|d)?$/.exec(text);
  const durationMs =
    match === null ? parseIsoDurationMs(text) : Number(match[1]) * durationUnitsMs.get(match[2] ?? 's')!;
  return durationMs === undefined ? undefined : Math.min(Math.round(durationMs), Number.MAX_SAFE_INTEGER);
}

function parseIsoDurationMs(text: string): number | undefined {
  const match = isoDuration.exec(text);
  if (match === null) return undefined;
  return isoUnitsMs.reduce((sum, unitMs, at) => sum + Number(match[at + 1] ?? 0) * unitMs, 0);
}

/**
 * Reads `since`: `earliest`, `latest`, `last-<n>`, an RFC 3339 instant, or `-5m` (that long ago).
 * @throws EverywireError `invalid`
 */
export function parseSince(text: string, nowMs: number): Start {
  if (text === 'earliest' || text === 'latest') return { kind: text };
  const last = /^last-(\d{1,9})$/.exec(text);
  if (last !== null) return { kind: 'last', count: Number(last[1]) };
  if (text.startsWith('-')) {
    const agoMs = parseDurationMs(text.slice(1));
    if (agoMs !== undefined) return { kind: 'time', timeMs: nowMs - agoMs };
  }
  if (rfc3339.test(text)) {
    const timeMs = Date.parse(text);
    if (!Number.isNaN(timeMs)) return { kind: 'time', timeMs };
  }
  throw new EverywireError(
    'invalid',
    'since must be earliest, latest, last-<n>, an RFC 3339 time such as 2026-01-31T09:00:00Z, or a time ago such as -5m.',
    { httpStatus: 400, pointers: ['/since'] },
  );
}

/** The start that a peer asks for. A cursor wins over `since`, because it is more exact. */
export function parseFrom(
  given: { readonly after?: string | undefined; readonly since?: string | undefined },
  nowMs: number,
): From | undefined {
  if (given.after !== undefined) return { after: given.after };
  if (given.since !== undefined) return { since: parseSince(given.since, nowMs) };
  return undefined;
}
