import { errorTable, isErrorCode, type ComeBack, type ErrorRow } from './errors.ts';

/**
 * Whether and when a client tries again. All our clients use this file, which derives its decisions from `comeBack` of
 * the error table.
 */

/** How a connection or a call ended, in the terms of its protocol. Without any member, the connection was cut. */
export interface Ending {
  /** A code of the error table. If it is present, it decides, because it is the most exact. */
  readonly code?: string | undefined;
  readonly httpStatus?: number | undefined;
  /** WebSocket close code. */
  readonly closeCode?: number | undefined;
  /** MQTT 5 reason code. */
  readonly mqttReason?: number | undefined;
  readonly grpcStatus?: number | undefined;
}

/** The most cautious first. If several errors share a number, the client must use the most cautious of their reactions. */
const byCaution: readonly ComeBack[] = [
  'never',
  'with-new-token',
  'without-cursor',
  'later',
  'elsewhere',
  'by-cursor',
  'at-once',
];

type Numbers = 'http' | 'close' | 'mqtt' | 'grpc';

function byNumber(
  column: Numbers,
  more: readonly (readonly [number, ComeBack])[] = [],
): ReadonlyMap<number, ComeBack> {
  const found = new Map<number, ComeBack>();
  for (const row of Object.values<ErrorRow>(errorTable)) {
    const known = found.get(row[column]);
    const isMoreCautious = known === undefined || byCaution.indexOf(row.comeBack) < byCaution.indexOf(known);
    if (isMoreCautious) found.set(row[column], row.comeBack);
  }
  // Numbers that are not in the table: from proxies and other brokers, and some of our server.
  for (const [number, comeBack] of more) found.set(number, comeBack);
  return found;
}

const byHttpStatus = byNumber('http', [
  // Not implemented, and HTTP version not supported: the same request fails again.
  [501, 'never'],
  [505, 'never'],
]);
const byCloseCode = byNumber('close', [
  // Registered with IANA after RFC 6455: service restart and bad gateway.
  [1012, 'later'],
  [1014, 'later'],
]);
const byMqttReason = byNumber('mqtt', [
  // MQTT 5 §2.4: server unavailable, server busy, use another server, connection rate exceeded, maximum connect time.
  [0x88, 'later'],
  [0x89, 'later'],
  [0x9c, 'elsewhere'],
  [0x9f, 'later'],
  [0xa0, 'by-cursor'],
]);
const byGrpcStatus = byNumber('grpc');

/** The allowed reactions of a client to this ending. */
export function comeBackAfter(ending: Ending): ComeBack {
  const { code, httpStatus, closeCode, mqttReason, grpcStatus } = ending;
  if (code !== undefined && isErrorCode(code)) return errorTable[code].comeBack;
  if (httpStatus !== undefined)
    return byHttpStatus.get(httpStatus) ?? (httpStatus >= 500 ? 'later' : 'never');
  if (closeCode !== undefined) return byCloseCode.get(closeCode) ?? ofUnknownClose(closeCode);
  if (mqttReason !== undefined) return byMqttReason.get(mqttReason) ?? 'never';
  if (grpcStatus !== undefined) return byGrpcStatus.get(grpcStatus) ?? 'never';
  // An unknown code of a newer server, without a known number.
  return code === undefined ? 'by-cursor' : 'never';
}

/** 1000, 1005 and 1006 are ends and cuts without a reason; 4050 to 4099 are refusals, also unknown ones of newer servers. */
function ofUnknownClose(code: number): ComeBack {
  return code >= 4050 && code <= 4099 ? 'never' : 'by-cursor';
}

/** Whether the same request may succeed later. */
export function isPassing(ending: Ending): boolean {
  const comeBack = comeBackAfter(ending);
  return byCaution.indexOf(comeBack) >= byCaution.indexOf('later');
}

export interface BackoffBounds {
  /** The longest wait before the second attempt; it doubles with each attempt. */
  readonly minMs: number;
  readonly maxMs: number;
}

/**
 * How long to wait before the next attempt: a random time up to a limit that doubles ("full jitter"), so that clients
 * that were cut together do not come back together.
 * @param failures failed attempts in a row, at least 1
 * @param random from 0 to 1
 * @param askedMs the time that the server asked for (`Retry-After`, `goaway`): the client waits at least that long
 */
export function backoffMs(
  failures: number,
  random: () => number,
  { minMs, maxMs }: BackoffBounds,
  askedMs = 0,
): number {
  const spreadMs = Math.min(maxMs, minMs * 2 ** (failures - 1));
  return Math.round(askedMs + random() * spreadMs);
}

/** The longest wait that a server may ask for: a wrong `Retry-After` must not silence a client for a year. */
export const retryAfterMsMax = 24 * 3_600_000;

/** Reads `Retry-After` (RFC 9110 §10.2.3): seconds or a date. `undefined` for anything else, which is then ignored. */
export function parseRetryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,15}$/.test(text.trim())) return Math.min(Number(text) * 1_000, retryAfterMsMax);
  const atMs = parseHttpDateMs(text.trim(), nowMs);
  if (atMs === undefined) return undefined;
  return Math.min(Math.max(0, atMs - nowMs), retryAfterMsMax);
}

// RFC 9110 §5.6.7: a recipient accepts all three forms, all of them in UTC. `Date.parse` alone would take "-1" for a year.
const httpDates = [
  /^[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{5,8}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

function parseHttpDateMs(text: string, nowMs: number): number | undefined {
  for (const shape of httpDates) {
    const found = shape.exec(text)?.groups;
    if (found === undefined) continue;
    const { day, month, time, year } = found as Record<'day' | 'month' | 'time' | 'year', string>;
    const fullYear = year.length === 4 ? year : yearOf(year, nowMs);
    const atMs = Date.parse(`${day.trim()} ${month} ${fullYear} ${time} GMT`);
    return Number.isNaN(atMs) ? undefined : atMs;
  }
  return undefined;
}

/** Two digits that would be more than 50 years ahead are those of the century before. */
function yearOf(twoDigits: string, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(twoDigits);
  return year > thisYear + 50 ? year - 100 : year;
}
