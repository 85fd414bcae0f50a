import { Code, ConnectError, createClient, type Client, type Interceptor } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { ErrorInfoSchema } from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import { Cut, Refused, Unreachable } from '../http/request.ts';
import { originOf, type Target } from '../target.ts';
import { explainTls } from '../tls.ts';

/** A connection may be silent for so long before it is asked whether anybody is there. */
const pingAfterMs = 30_000;

export interface GrpcConnection {
  readonly client: Client<typeof Messaging>;
  /** Left open, it would keep the process. */
  readonly close: () => void;
}

/** The service at `target`, over one connection, which is made with the first call. */
export function openGrpc(target: Target): GrpcConnection {
  const baseUrl = originOf(target);
  const sessionManager = new Http2SessionManager(
    baseUrl,
    { pingIntervalMs: pingAfterMs },
    { ...target.certificate },
  );
  const { token } = target;
  const showToken: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set('Authorization', `Bearer ${token}`);
    return next(request);
  };
  const transport = createGrpcTransport({ baseUrl, sessionManager, interceptors: [showToken] });
  return {
    client: createClient(Messaging, transport),
    close: () => sessionManager.abort(),
  };
}

/** What the caller does about it: try again with the cursor, or tell the user. */
export function explainGrpc(caught: unknown, target: Target): Error {
  const error = ConnectError.from(caught);
  const failure = error.cause as NodeJS.ErrnoException | undefined;
  const cause = failure?.code;
  const tls = failure && explainTls(failure);
  if (tls !== undefined)
    return new Unreachable(`${target.host}:${target.port} cannot be reached (${tls})`, { cause: error });
  if (cause === 'ECONNREFUSED' || cause === 'ENOTFOUND' || cause === 'EHOSTUNREACH') {
    return new Unreachable(`${target.host}:${target.port} cannot be reached (${cause})`, { cause: error });
  }
  const [info] = error.findDetails(ErrorInfoSchema);
  if (
    error.code === Code.Unavailable ||
    (error.code === Code.Aborted && info === undefined) ||
    cause !== undefined
  ) {
    return new Cut(`the connection was lost (${error.rawMessage})`, { cause: error });
  }
  const code = info?.reason.toLowerCase();
  return new Refused(code === undefined ? error.rawMessage : `${code}: ${error.rawMessage}`, { code });
}
