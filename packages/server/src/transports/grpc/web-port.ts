import type { IncomingMessage, ServerResponse } from 'node:http';
import { toEverywireError, type EverywireError } from '@everywire/protocol';
import type { Callers } from '../../http/credentials.ts';
import { CrossOrigin } from '../../http/cross-origin.ts';
import { onHalfClosed } from '../../http/half-closed.ts';
import type { Origins } from '../../http/origin.ts';
import { peerOf } from '../../http/peer.ts';
import { rawPath } from '../../http/percent.ts';
import { problemHeaders } from '../../http/problem.ts';
import type { RawRequests } from '../../http/raw-requests.ts';
import { Messaging } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import type { LibraryCalls } from './library.ts';
import type { GrpcHost } from './limits.ts';
import { webRefusal } from './web-refusal.ts';
import { translateWebText } from './web-text.ts';

/** The parts of the HTTP port that gRPC-Web and Connect need. */
export interface WebFront {
  readonly requests: RawRequests;
  readonly callers: Pick<Callers, 'authenticate' | 'takesCookies'>;
}

/** The path of every method there. */
export const webPrefix = '/everywire.v1.Messaging/';

/** gRPC-Web and Connect: ordinary requests on the HTTP port. */
export class WebPort {
  readonly #front: WebFront;
  readonly #host: GrpcHost;
  readonly #library: LibraryCalls;
  readonly #allowedOrigins: Origins | undefined;

  constructor(front: WebFront, host: GrpcHost, library: LibraryCalls, allowedOrigins: Origins | undefined) {
    this.#front = front;
    this.#host = host;
    this.#library = library;
    this.#allowedOrigins = allowedOrigins;
  }

  /** Before the HTTP port listens. */
  serve(): void {
    const crossOrigin = new CrossOrigin(this.#allowedOrigins, this.#front.callers);
    this.#front.requests.add({
      matches: (path) => path.startsWith(webPrefix),
      bodyBytesMax: this.#library.messageBytesMax,
      handle: (request: IncomingMessage, response: ServerResponse) => {
        try {
          if (request.method === 'OPTIONS') {
            response.writeHead(204, { Allow: 'OPTIONS, POST', ...crossOrigin.preflight(request) }).end();
            return;
          }
          for (const [field, value] of Object.entries(crossOrigin.headersFor(request)))
            response.setHeader(field, exposed(field, value));
        } catch (caught) {
          response.writeHead(toEverywireError(caught).httpStatus).end();
          return;
        }
        void this.#call(request, response);
      },
    });
  }

  async #call(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const admitted = await this.#library.admit(peerOf(request), () =>
      this.#front.callers.authenticate(request),
    );
    if (response.destroyed) return;
    if ('refusal' in admitted) {
      this.#refuse(admitted.refusal, request, response);
      return;
    }
    // A stream must not outlive its client, and a client leaves by closing its half of the connection.
    if (!isUnary(request)) onHalfClosed(request, () => response.destroy());
    translateWebText(request, response);
    this.#library.answer(admitted, request, response);
  }

  #refuse(refusal: EverywireError, request: IncomingMessage, response: ServerResponse): void {
    const { status, headers, body } = webRefusal(refusal, request.headers['content-type']);
    const fields = { ...problemHeaders(refusal, this.#host.limits.retryAfterMs), ...headers };
    // The server does not read the rest of a long body.
    if (!hasShortBody(request, this.#host.limits)) response.shouldKeepAlive = false;
    response.writeHead(status, { ...fields, 'Content-Length': body.length }).end(body);
  }
}

/** Whether its method has one answer. */
function isUnary({ url = '' }: IncomingMessage): boolean {
  const name = rawPath(url).slice(webPrefix.length);
  return Messaging.methods.find((method) => method.name === name)?.methodKind === 'unary';
}

/** Whether its body is at most as long as the server reads before it knows the caller. */
function hasShortBody({ headers }: IncomingMessage, { headerBytesMax }: GrpcHost['limits']): boolean {
  return Number(headers['content-length'] ?? Number.POSITIVE_INFINITY) <= headerBytesMax;
}

/** Fields of a browser's answer that its program may read: ours, and the status of the call. */
function exposed(field: string, value: string): string {
  return field === 'Access-Control-Expose-Headers'
    ? `${value}, grpc-status, grpc-message, grpc-status-details-bin`
    : value;
}
