import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, anyUnpack, durationFromMs, durationMs } from '@bufbuild/protobuf/wkt';
import type { EverywireError } from '@everywire/protocol';
import { ErrorInfoSchema, RetryInfoSchema } from './generated/google/rpc/error_details_pb.js';
import { StatusSchema } from './generated/google/rpc/status_pb.js';

/** `ErrorInfo.domain`: marks error codes of this project. */
export const errorDomain = 'everywire';

/** The trailers of a call (gRPC over HTTP/2, Responses): OK, or a status with its details. */
export function trailersOf(error: EverywireError | undefined): Record<string, string> {
  if (error === undefined) return { 'grpc-status': '0' };
  const { code, message, retryAfterMs, row } = error;
  const details = [
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: code.toUpperCase(), domain: errorDomain })),
  ];
  if (retryAfterMs !== undefined) {
    const retryDelay = durationFromMs(retryAfterMs);
    details.push(anyPack(RetryInfoSchema, create(RetryInfoSchema, { retryDelay })));
  }
  const status = toBinary(StatusSchema, create(StatusSchema, { code: row.grpc, message, details }));
  return {
    'grpc-status': String(row.grpc),
    'grpc-message': percentEncode(message),
    // Binary values go without padding.
    'grpc-status-details-bin': Buffer.from(status).toString('base64').replace(/=+$/, ''),
  };
}

/** gRPC over HTTP/2, Status-Message: everything but printable ASCII without the percent sign. */
function percentEncode(text: string): string {
  return text.replace(/[^\u0020-\u0024\u0026-\u007e]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** The result of a call, which a client reads from the trailers. */
export interface GrpcStatus {
  /** 0: the call succeeded. */
  readonly code: number;
  readonly message: string;
  /** `ErrorInfo.reason`, if there is one: a code of the error table in capitals when `domain` is ours. */
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  /** `RetryInfo.retryDelay`. */
  readonly retryAfterMs: number | undefined;
}

/** Reads trailers; `undefined` if they have no status: the call then ended without one. */
export function readStatus(
  trailers: Readonly<Record<string, string | readonly string[] | undefined>>,
): GrpcStatus | undefined {
  const code = trailers['grpc-status'];
  if (typeof code !== 'string' || !/^\d{1,4}$/.test(code)) return undefined;
  const { 'grpc-message': message = '', 'grpc-status-details-bin': details } = trailers;
  return {
    code: Number(code),
    message: typeof message === 'string' ? percentDecode(message) : '',
    ...readDetails(typeof details === 'string' ? details : ''),
  };
}

/** Details are optional, so unreadable ones count as absent. */
function readDetails(base64: string): Pick<GrpcStatus, 'reason' | 'domain' | 'retryAfterMs'> {
  try {
    const { details } = fromBinary(StatusSchema, Buffer.from(base64, 'base64'));
    const find = <Found>(unpack: (any: (typeof details)[number]) => Found): Found | undefined =>
      details.map(unpack).find((one) => one !== undefined);
    const info = find((any) => anyUnpack(any, ErrorInfoSchema));
    const delay = find((any) => anyUnpack(any, RetryInfoSchema))?.retryDelay;
    return {
      reason: info?.reason,
      domain: info?.domain,
      retryAfterMs: delay && durationMs(delay),
    };
  } catch {
    return { reason: undefined, domain: undefined, retryAfterMs: undefined };
  }
}

/** Status-Message: a decoder must not fail, and keeps text that is not percent-encoded. */
function percentDecode(text: string): string {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const hex = text[at] === '%' ? text.slice(at + 1, at + 3) : '';
    if (/^[0-9A-Fa-f]{2}$/.test(hex)) {
      bytes.push(Number.parseInt(hex, 16));
      at += 2;
    } else {
      bytes.push(...Buffer.from(text[at]!));
    }
  }
  return Buffer.from(bytes).toString();
}

const unitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Reads `grpc-timeout`: at most eight digits and a unit. `undefined` for anything else. */
export function parseTimeoutMs(text: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(text);
  return match === null ? undefined : Number(match[1]) * unitsMs[match[2]!]!;
}

/**
 * Writes `grpc-timeout` in the finest unit that it fits in, rounded up, so that it does not end before the caller's own
 * time-out.
 */
export function formatTimeout(timeoutMs: number): string {
  const unit = ['n', 'u', 'm', 'S', 'M', 'H'].find((one) => timeoutMs / unitsMs[one]! <= timeoutMax) ?? 'H';
  return `${Math.min(Math.ceil(timeoutMs / unitsMs[unit]!), timeoutMax)}${unit}`;
}

/** Eight digits. */
const timeoutMax = 99_999_999;
