import { connectNodeAdapter } from '@connectrpc/connect-node';
import {
  createServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { toEverywireError } from '@everywire/protocol';
import type { Timer } from '../../core/clock.ts';
import type { Endpoint, Host, Transport } from '../../core/transport.ts';
import { CrossOrigin } from '../../http/cross-origin.ts';
import type { RawRequests } from '../../http/raw-requests.ts';
import type { ListenAddress } from '../../net/listener.ts';
import { Http2Call, readCallHead, streamingPaths } from './http2-call.ts';
import { addServices } from './service.ts';
import { trailersOf } from './status.ts';
import type { StreamCall } from './stream-call.ts';
import type { SubscribeCall } from './subscribe-call.ts';

export interface GrpcFront {
  readonly requests: RawRequests;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface GrpcTransportOptions {
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Where gRPC itself is spoken, on HTTP/2 in clear text. */
  readonly listen: ListenAddress;
}

const name = 'grpc';
/** What is served on the HTTP port: gRPC-Web and Connect are ordinary requests. */
const webPrefix = '/everywire.v1.Messaging/';
const messageRoomBytes = 32 * 1024;
/** For calls that name no deadline; gRPC itself has none. */
const unaryTimeoutMsMax = 3_600_000;
/** HTTP/2 sessions that answer no ping for so long have gone without a word. */
const pingsUnansweredMax = 2;

/** gRPC on a port of its own; gRPC-Web and Connect on the HTTP port, all from one service. */
export function createGrpcTransport(front: GrpcFront, options: GrpcTransportOptions): Transport {
  return new GrpcTransport(front, options);
}

class GrpcTransport implements Transport {
  readonly name = name;
  readonly #front: GrpcFront;
  readonly #options: GrpcTransportOptions;
  readonly #sessions = new Map<ServerHttp2Session, { unanswered: number }>();
  readonly #calls = new Set<Http2Call>();
  readonly #webCalls = new Set<StreamCall | SubscribeCall>();
  #host!: Host;
  #server: Http2Server | undefined;
  #address: string | undefined;
  #pingTimer: Timer | undefined;

  constructor(front: GrpcFront, options: GrpcTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const web = `${this.#front.url}${webPrefix}Publish`;
    const rows: Endpoint[] = [
      {
        transport: name,
        url: `${this.#front.url} (Connect, gRPC-Web)`,
        tryIt: `curl -H 'Content-Type: application/json' -d '{"channel":"demo","data":"aGVsbG8="}' ${web}`,
      },
    ];
    if (this.#address !== undefined) {
      rows.unshift({
        transport: name,
        url: `grpc://${this.#address}`,
        tryIt: `npx everywire subscribe grpc://${this.#address}/demo`,
      });
    }
    return rows;
  }

  async start(host: Host): Promise<void> {
    this.#host = host;
    const { limits } = host;
    const messageBytesMax = limits.payloadBytesMax + messageRoomBytes;
    const adapter = connectNodeAdapter({
      routes: (router) => addServices(router, host, this.#webCalls),
      readMaxBytes: messageBytesMax,
      maxTimeoutMs: unaryTimeoutMsMax,
      // Off, like on every wire: an attacker's bytes must not become a hundred times as many here.
      acceptCompression: [],
    });
    this.#serveWeb(adapter, messageBytesMax);
    if (this.#options.listen.port >= 0) await this.#listen(adapter);
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const { random, limits } = this.#host;
    this.#pingTimer?.cancel();
    const closed = new Promise<void>((resolve) => {
      if (this.#server === undefined) resolve();
      else this.#server.close(() => resolve());
    });
    for (const call of [...this.#calls, ...this.#webCalls]) {
      // Spread, so that they do not all come back in the same moment.
      const spread = Number.parseInt(random.hex(2), 16) / 0xffff;
      call.goAway(Math.round(limits.retryAfterMs * (1 + spread)));
    }
    // GOAWAY: no new calls; the session ends with its last one (RFC 9113 §6.8).
    for (const session of this.#sessions.keys()) session.close();
    const cut = (): void => {
      for (const session of this.#sessions.keys()) session.destroy();
    };
    if (deadline.aborted) cut();
    deadline.addEventListener('abort', cut, { once: true });
    await closed;
    deadline.removeEventListener('abort', cut);
  }

  #serveWeb(adapter: ReturnType<typeof connectNodeAdapter>, bodyBytesMax: number): void {
    const crossOrigin = new CrossOrigin(this.#options.allowedOrigins);
    this.#front.requests.add({
      matches: (path) => path.startsWith(webPrefix),
      bodyBytesMax,
      handle: (request: IncomingMessage, response: ServerResponse) => {
        try {
          if (request.method === 'OPTIONS') {
            response
              .writeHead(204, { Allow: 'OPTIONS, POST', ...crossOrigin.preflight(request.headers) })
              .end();
            return;
          }
          for (const [field, value] of Object.entries(crossOrigin.headersFor(request.headers)))
            response.setHeader(field, exposed(field, value));
        } catch (caught) {
          response.writeHead(toEverywireError(caught).httpStatus).end();
          return;
        }
        adapter(request, response);
      },
    });
  }

  async #listen(adapter: ReturnType<typeof connectNodeAdapter>): Promise<void> {
    const { limits, log } = this.#host;
    const { host, port, isDefaultPort } = this.#options.listen;
    const server = createServer({
      settings: { maxConcurrentStreams: limits.grpcStreamsMax, maxHeaderListSize: limits.headerBytesMax },
      maxHeaderListPairs: limits.headerCountMax,
      maxSessionInvalidFrames: 50,
      maxSessionMemory: 4,
      // Rapid reset: Node answers a session beyond this with GOAWAY ENHANCE_YOUR_CALM.
      streamResetBurst: 100,
      streamResetRate: 10,
    });
    server.on('stream', (stream, headers, _flags, rawHeaders: string[]) => {
      if (isStreaming(headers)) {
        this.#begin(stream, headers);
        return;
      }
      // Only here: these objects listen to the stream too, and would send trailers of their own.
      adapter(new Http2ServerRequest(stream, headers, {}, rawHeaders), new Http2ServerResponse(stream));
    });
    server.on('session', (session) => {
      this.#sessions.set(session, { unanswered: 0 });
      session.on('error', (error: Error) => log.debug({ err: error }, 'a gRPC connection broke'));
      session.on('close', () => this.#sessions.delete(session));
    });
    server.on('sessionError', (error: Error) => log.debug({ err: error }, 'a gRPC connection broke'));
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen({ host, port }, () => {
          server.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EADDRINUSE' && isDefaultPort) {
        log.warn({ port }, 'the default port of grpc is taken; its listener is off');
        return;
      }
      throw code === 'EADDRINUSE' ? new Error(`port ${port} for grpc is taken`, { cause: error }) : error;
    }
    server.on('error', (error: Error) => log.warn({ err: error }, 'the gRPC listener'));
    this.#server = server;
    const bound = server.address() as AddressInfo;
    this.#address = `${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`;
    this.#pingLater();
  }

  #begin(stream: ServerHttp2Stream, headers: Parameters<typeof readCallHead>[0]): void {
    try {
      const address = (stream.session?.socket as Socket | undefined)?.remoteAddress;
      const head = readCallHead(headers, address);
      const call = new Http2Call(this.#host, stream, {
        path: headers[':path']!,
        head,
        forget: (ended) => this.#calls.delete(ended),
      });
      this.#calls.add(call);
    } catch (caught) {
      // Trailers-Only: head and status in one (gRPC over HTTP/2, Responses).
      const trailers = trailersOf(toEverywireError(caught));
      stream.on('error', () => undefined);
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-accept-encoding': 'identity',
          ...trailers,
        },
        { endStream: true },
      );
      stream.close();
    }
  }

  /** Machines that vanish without a word are found out by pings that nobody answers. */
  #pingLater(): void {
    this.#pingTimer = this.#host.clock.after(this.#host.limits.heartbeatEveryMs, () => {
      for (const [session, state] of this.#sessions) {
        if (session.destroyed || session.closed) continue;
        if (state.unanswered >= pingsUnansweredMax) {
          session.destroy();
          continue;
        }
        state.unanswered += 1;
        session.ping((error) => {
          if (error === null) state.unanswered = 0;
        });
      }
      this.#pingLater();
    });
  }
}

/** Fields of a browser's answer that its program may read: ours, and the status of the call. */
function exposed(field: string, value: string): string {
  return field === 'Access-Control-Expose-Headers'
    ? `${value}, grpc-status, grpc-message, grpc-status-details-bin`
    : value;
}

/** gRPC itself in protobuf on one of the two streaming methods; everything else has a library. */
function isStreaming(headers: IncomingHttpHeaders): boolean {
  const path = headers[':path'];
  return (
    (path === streamingPaths.subscribe || path === streamingPaths.stream) &&
    headers[':method'] === 'POST' &&
    /^application\/grpc(\+proto)?\s*(;|$)/.test(headers['content-type'] ?? '')
  );
}
