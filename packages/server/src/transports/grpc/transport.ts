import { connectNodeAdapter } from '@connectrpc/connect-node';
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { GrpcLimits } from './limits.ts';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import type { Callers } from '../../http/credentials.ts';
import { CrossOrigin } from '../../http/cross-origin.ts';
import { Http2Connections, http2Bounds, type Http2Connection } from '../../http/http2-connections.ts';
import { peerOf, type Peer } from '../../http/peer.ts';
import { problemHeaders } from '../../http/problem.ts';
import type { RawRequests } from '../../http/raw-requests.ts';
import { guard } from '../../net/guard.ts';
import type { TlsEnd } from '../../net/tls-end.ts';
import { exchangeOf } from '../../http/http2-request.ts';
import { bind, hostAndPort, type ListenAddress } from '../../net/listener.ts';
import { encodingOf, readCallHead } from './call-head.ts';
import { Http2Call, ownMethods } from './http2-call.ts';
import type { Caller } from './outlet.ts';
import { addServices, contextOf, peerOn, placeOf, type Admitted } from './service.ts';
import { trailersOf } from '@everywire/wires/grpc';
import type { StreamCall } from './stream-call.ts';
import type { SubscribeCall } from './subscribe-call.ts';
import { webRefusal } from './web-refusal.ts';
import type { GrpcHost } from './limits.ts';
import { cutAt, spreadMs } from '../parts/drain.ts';
import { refusalOf } from '../parts/refusal.ts';

export interface GrpcFront {
  readonly requests: RawRequests;
  readonly callers: Pick<Callers, 'authenticate' | 'takesCookies'>;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface GrpcTransportOptions {
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Where gRPC itself is spoken, on HTTP/2. */
  readonly listen: ListenAddress;
  /** Absent: in clear text. */
  readonly tls?: TlsEnd | undefined;
}

const name = 'grpc';
/** What is served on the HTTP port: gRPC-Web and Connect are ordinary requests. */
const webPrefix = '/everywire.v1.Messaging/';
/** Health is asked by what watches over servers, which has no token. */
const healthPrefix = '/grpc.health.v1.Health/';
const unknownCaller: Admitted = { refusal: new EverywireError('unauthorized', 'Who calls is not known.') };
const messageRoomBytes = 32 * 1024;
/** What a timer can wait for. */
const timeoutMsMax = 2 ** 31 - 1;

type Adapter = ReturnType<typeof connectNodeAdapter>;

/** A call that the library answers. */
interface LibraryCall {
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly caller: Caller;
  readonly socket: Socket;
}

/** gRPC on a port of its own; gRPC-Web and Connect on the HTTP port, all from one service. */
export function createGrpcTransport(front: GrpcFront, options: GrpcTransportOptions): Transport {
  return new GrpcTransport(front, options);
}

class GrpcTransport implements Transport {
  readonly name = name;
  readonly #front: GrpcFront;
  readonly #options: GrpcTransportOptions;
  readonly #stopping = new AbortController();
  /** Methods that the library serves. */
  readonly #paths = new Set<string>();
  /** Whose request it is that the library is given. */
  readonly #admitted = new WeakMap<object, Admitted>();
  readonly #calls = new Set<Http2Call>();
  readonly #webCalls = new Set<StreamCall | SubscribeCall>();
  #host!: GrpcHost;
  #server: Server | undefined;
  #address: string | undefined;
  #connections: Http2Connections | undefined;

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
    const scheme = this.#options.tls === undefined ? 'grpc' : 'grpcs';
    if (this.#address !== undefined) {
      rows.unshift({
        transport: name,
        url: `${scheme}://${this.#address}`,
        tryIt: `npx everywire subscribe ${scheme}://${this.#address}/demo`,
      });
    }
    return rows;
  }

  async start(host: GrpcHost): Promise<void> {
    this.#host = host;
    const { limits } = host;
    const messageBytesMax = limits.payloadBytesMax + messageRoomBytes;
    const adapter = connectNodeAdapter({
      routes: (router) => {
        addServices(router, host, { calls: this.#webCalls, stopping: this.#stopping.signal });
        for (const { requestPath } of router.handlers) this.#paths.add(requestPath);
      },
      readMaxBytes: messageBytesMax,
      maxTimeoutMs: timeoutMsMax,
      // Off, like on every wire: an attacker's bytes must not become a hundred times as many here.
      acceptCompression: [],
      contextValues: (request) => contextOf(this.#admitted.get(request) ?? unknownCaller),
    });
    this.#serveWeb(adapter, messageBytesMax);
    if (this.#options.listen.port >= 0) await this.#listen(adapter);
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const { random, limits } = this.#host;
    const closed = new Promise<void>((resolve) => {
      if (this.#server === undefined) resolve();
      else this.#server.close(() => resolve());
    });
    for (const call of [...this.#calls, ...this.#webCalls])
      call.goAway(spreadMs(limits.retryAfterMs, random));
    this.#stopping.abort();
    this.#connections?.closeAll();
    await cutAt(deadline, { gone: closed, cut: () => this.#connections?.destroyAll() });
  }

  #serveWeb(adapter: Adapter, bodyBytesMax: number): void {
    const crossOrigin = new CrossOrigin(this.#options.allowedOrigins, this.#front.callers);
    this.#front.requests.add({
      matches: (path) => path.startsWith(webPrefix),
      bodyBytesMax,
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
        void this.#callFromWeb(adapter, request, response);
      },
    });
  }

  async #callFromWeb(adapter: Adapter, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const admitted = await this.#admit(peerOf(request), () => this.#front.callers.authenticate(request));
    if (response.destroyed) return;
    if ('refusal' in admitted) {
      this.#refuseWeb(admitted.refusal, request, response);
      return;
    }
    this.#admitted.set(request, admitted);
    adapter(request, response);
  }

  #refuseWeb(refusal: EverywireError, request: IncomingMessage, response: ServerResponse): void {
    const { status, headers, body } = webRefusal(refusal, request.headers['content-type']);
    const told = { ...problemHeaders(refusal, this.#host.limits.retryAfterMs), ...headers };
    // What is still to come of a long body is not read.
    if (!hasShortBody(request, this.#host.limits)) response.shouldKeepAlive = false;
    response.writeHead(status, { ...told, 'Content-Length': body.length }).end(body);
  }

  async #callOnStream(
    adapter: Adapter,
    stream: ServerHttp2Stream,
    { headers, rawHeaders, caller, socket }: LibraryCall,
  ): Promise<void> {
    const ignore = (): void => undefined;
    stream.on('error', ignore);
    const isForAll = headers[':path']!.startsWith(healthPrefix);
    const admitted = isForAll
      ? unknownCaller
      : await this.#admit(peerOn(socket, this.#host), () => this.#host.hub.authenticate(caller));
    stream.off('error', ignore);
    if (stream.destroyed) return;
    if ('refusal' in admitted && !isForAll) {
      refuse(stream, trailersOnly(admitted.refusal));
      return;
    }
    // Only here: these objects listen to the stream too, and would send trailers of their own.
    const { request, response } = exchangeOf(stream, headers, rawHeaders, socket);
    this.#admitted.set(request, admitted);
    adapter(request, response);
  }

  async #admit(peer: Peer, authenticate: () => Promise<Identity>): Promise<Admitted> {
    try {
      return { party: { identity: await authenticate(), ...peer } };
    } catch (caught) {
      return { refusal: refusalOf(caught, this.#host.log, 'a caller of gRPC could not be judged') };
    }
  }

  async #listen(adapter: Adapter): Promise<void> {
    const { limits, log, admission } = this.#host;
    const { tls } = this.#options;
    const http2 = createServer(http2Bounds(limits, limits.grpcStreamsMax));
    http2.on('stream', (stream, headers, _flags, rawHeaders: string[]) => {
      const connection = this.#connections?.called(stream);
      if (connection === undefined) stream.destroy();
      else {
        const caller = this.#begin(stream, headers, connection);
        if (caller === undefined) return;
        const { socket } = connection;
        void this.#callOnStream(adapter, stream, { headers, rawHeaders, caller, socket });
      }
    });
    const server = tls === undefined ? http2 : createSecure(tls, http2);
    const bound = await bind(server, { ...this.#options.listen, name, log });
    if (bound === undefined) return;
    server.on('error', (error: Error) =>
      log.error({ err: error, name }, 'a connection could not be accepted'),
    );
    this.#connections = new Http2Connections(this.#host);
    this.#connections.watch(http2);
    if (admission !== undefined) guard(server, admission);
    this.#server = server;
    this.#address = hostAndPort(bound);
  }

  /** Judges a call and answers it. Otherwise it is for the library, and whose it is is returned. */
  #begin(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Http2Connection,
  ): Caller | undefined {
    const encoding = encodingOf(headers['content-type']);
    if (headers[':method'] !== 'POST' || encoding === undefined) {
      // gRPC over HTTP/2, Requests. Connect and gRPC-Web are spoken on the HTTP port.
      refuse(stream, headers[':method'] === 'POST' ? { ':status': 415 } : { ':status': 405, allow: 'POST' });
      return undefined;
    }
    try {
      const head = readCallHead(headers, placeOf(connection.socket));
      const path = headers[':path']!;
      const method = encoding === 'proto' ? ownMethods.get(path) : undefined;
      if (method !== undefined) {
        const forget = (ended: Http2Call): void => {
          this.#calls.delete(ended);
        };
        this.#calls.add(new Http2Call(this.#host, stream, { method, head, connection, forget }));
        return undefined;
      }
      if (!this.#paths.has(path)) throw new EverywireError('unsupported', 'There is no such method.');
      // The library takes neither parameters nor any deadline that a timer cannot wait for.
      headers['content-type'] = `application/grpc+${encoding}`;
      if (head.timeoutMs === undefined) delete headers['grpc-timeout'];
      return head.caller;
    } catch (caught) {
      refuse(stream, trailersOnly(toEverywireError(caught)));
      return undefined;
    }
  }
}

/** Ends TLS in front of a server of HTTP/2. */
function createSecure(tls: TlsEnd, http2: Http2Server): Server {
  const server = createTlsServer({ noDelay: true, ...tls.options, ALPNProtocols: ['h2'] }, (socket) => {
    http2.emit('connection', socket);
  });
  tls.attach(server, { name });
  return server;
}

/** Head and status in one (gRPC over HTTP/2, Responses). */
function trailersOnly(error: EverywireError): OutgoingHttpHeaders {
  return {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-accept-encoding': 'identity',
    ...trailersOf(error),
  };
}

/** Whether its body is known to be no longer than what is taken in of somebody unknown. */
function hasShortBody({ headers }: IncomingMessage, { headerBytesMax }: GrpcLimits): boolean {
  return Number(headers['content-length'] ?? Number.POSITIVE_INFINITY) <= headerBytesMax;
}

/** Answers with a head alone, whatever the peer is still about to send. */
function refuse(stream: ServerHttp2Stream, head: OutgoingHttpHeaders): void {
  stream.on('error', () => undefined);
  stream.respond(head, { endStream: true });
  stream.close();
}

/** Fields of a browser's answer that its program may read: ours, and the status of the call. */
function exposed(field: string, value: string): string {
  return field === 'Access-Control-Expose-Headers'
    ? `${value}, grpc-status, grpc-message, grpc-status-details-bin`
    : value;
}
