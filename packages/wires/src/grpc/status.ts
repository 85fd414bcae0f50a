import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack, durationFromMs } from '@bufbuild/protobuf/wkt';
import type { EverywireError } from '@everywire/protocol';
import { errorDomain } from '../../../server/src/transports/grpc/convert.ts';
import {
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import { StatusSchema } from '@everywire/wires/grpc/generated/google/rpc/status_pb.js';

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
