import Type from 'typebox';
import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';
import type { Host } from '../../core/seams/transport.ts';
import type { HttpLimits } from '../../http/limits.ts';
import { ifTaken, portSchema, strict } from '../../net/port-schema.ts';
import type { PartsLimits } from '../parts/limits.ts';

export const grpcLimits = {
  grpcStreamsMax: {
    default: 100,
    about: 'gRPC: calls on one HTTP/2 connection at the same time.',
  },
  grpcRequestTimeoutMs: {
    default: 60_000,
    about:
      'gRPC: the deadline of a unary call that names none, and the time until the request of a `Subscribe` ' +
      'has come.',
  },
} satisfies LimitDeclarations;

export type GrpcLimits = HttpLimits & PartsLimits & LimitsOf<typeof grpcLimits>;

export type GrpcHost = Host<GrpcLimits>;

/** The section `grpc` of the configuration. */
export const grpcSection = Type.Object(
  {
    port: portSchema(50051, `Port of gRPC, HTTP/2 in clear text or, given tls.cert, TLS. ${ifTaken}`),
  },
  strict,
);
