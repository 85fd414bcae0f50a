import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, type ConnectRouter, type HandlerContext } from '@connectrpc/connect';
import { EverywireError } from '@everywire/protocol';
import { connectErrorOf } from './convert.ts';
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
} from '@everywire/wires/grpc/generated/grpc/health/v1/health_pb.js';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import type { GrpcHost } from './limits.ts';

/** Services whose health can be asked for; the empty name is the whole server. */
const known: ReadonlySet<string> = new Set(['', Messaging.typeName]);
/** How often the server checks whether a watcher needs a new answer. */
const lookEveryMs = 1_000;

/**
 * grpc.health.v1: serving as long as the node takes traffic, by the same rule as `/readyz`. When the server stops, each
 * watching call gets that status and ends.
 */
export function addHealth(router: ConnectRouter, host: GrpcHost, stopping: AbortSignal): void {
  const statusOf = (service: string): ServingStatus => {
    if (!known.has(service)) return ServingStatus.SERVICE_UNKNOWN;
    return !host.hub.isDraining && host.hub.health().ok ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  };
  router.service(Health, {
    check({ service }) {
      if (!known.has(service)) throw new ConnectError('The service does not exist.', Code.NotFound);
      return { status: statusOf(service) };
    },
    async *watch({ service }, { signal }: HandlerContext) {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = statusOf(service);
        if (status !== told) yield create(HealthCheckResponseSchema, { status });
        told = status;
        if (stopping.aborted)
          throw connectErrorOf(new EverywireError('going_away', 'The server is shutting down.'));
        await new Promise<void>((resolve) => {
          const done = (): void => {
            timer.cancel();
            signal.removeEventListener('abort', done);
            stopping.removeEventListener('abort', done);
            resolve();
          };
          const timer = host.clock.after(lookEveryMs, done);
          signal.addEventListener('abort', done, { once: true });
          stopping.addEventListener('abort', done, { once: true });
        });
      }
    },
  });
}
