import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import { trailersOf } from '@everywire/wires/grpc';
import { Http2Connections, http2Bounds, type Http2Connection } from '../../http/http2-connections.ts';
import { exchangeOf } from '../../http/http2-request.ts';
import { guard } from '../../net/guard.ts';
import { bind, hostAndPort, type ListenAddress } from '../../net/listener.ts';
import type { TlsEnd } from '../../net/tls-end.ts';
import { cutAt } from '../../net/drain.ts';
import { encodingOf, readCallHead } from './call-head.ts';
import { Http2Call, ownMethods } from './http2-call.ts';
import { unknownCaller, type LibraryCalls } from './library.ts';
import type { GrpcHost } from './limits.ts';
import type { Caller } from './caller.ts';
import { peerOn, placeOf } from './service.ts';

export interface GrpcPortOptions {
  readonly listen: ListenAddress;
  /** Absent: in clear text. */
  readonly tls?: TlsEnd | undefined;
}

const name = 'grpc';
/** The clients of the health service are monitors, which have no token. */
const healthPrefix = '/grpc.health.v1.Health/';

/** A call that the library answers. */
interface LibraryCall {
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly caller: Caller;
  readonly socket: Socket;
}

/** Native gRPC: HTTP/2 on a separate port. */
export class GrpcPort {
  /** The calls that this code answers without the library. */
  readonly calls = new Set<Http2Call>();
  readonly #host: GrpcHost;
  readonly #library: LibraryCalls;
  readonly #options: GrpcPortOptions;
  #server: Server | undefined;
  #address: string | undefined;
  #connections: Http2Connections | undefined;

  constructor(host: GrpcHost, library: LibraryCalls, options: GrpcPortOptions) {
    this.#host = host;
    this.#library = library;
    this.#options = options;
  }

  /** `host:port`; `undefined`: it does not listen. */
  get address(): string | undefined {
    return this.#address;
  }

  /** Starts to listen. @throws Error for the operator, if the port was configured and is not available */
  async listen(): Promise<void> {
    const { limits, log, admission } = this.#host;
    const { tls, listen } = this.#options;
    if (listen.port < 0) return;
    const http2 = createServer(http2Bounds(limits, limits.grpcStreamsMax));
    http2.on('stream', (stream, headers, _flags, rawHeaders: string[]) => {
      const connection = this.#connections?.called(stream);
      if (connection === undefined) stream.destroy();
      else {
        const caller = this.#begin(stream, headers, connection);
        if (caller === undefined) return;
        const { socket } = connection;
        void this.#callOnStream(stream, { headers, rawHeaders, caller, socket });
      }
    });
    const server = tls === undefined ? http2 : createSecure(tls, http2);
    const bound = await bind(server, { ...listen, name, log });
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

  /** Accepts no new connections. `close` ends the open ones, and resolves when they have gone or were cut. */
  stopListening(): { close(deadline: AbortSignal): Promise<void> } {
    const closed = new Promise<void>((resolve) => {
      if (this.#server === undefined) resolve();
      else this.#server.close(() => resolve());
    });
    return {
      close: async (deadline) => {
        this.#connections?.closeAll();
        await cutAt(deadline, { gone: closed, cut: () => this.#connections?.destroyAll() });
      },
    };
  }

  async #callOnStream(
    stream: ServerHttp2Stream,
    { headers, rawHeaders, caller, socket }: LibraryCall,
  ): Promise<void> {
    const ignore = (): void => undefined;
    stream.on('error', ignore);
    const isForAll = headers[':path']!.startsWith(healthPrefix);
    const admitted = isForAll
      ? unknownCaller
      : await this.#library.admit(peerOn(socket, this.#host), () => this.#host.hub.authenticate(caller));
    stream.off('error', ignore);
    if (stream.destroyed) return;
    if ('refusal' in admitted && !isForAll) {
      refuse(stream, trailersOnly(admitted.refusal));
      return;
    }
    // Only here: these objects listen to the stream too, and would send a second set of trailers.
    const { request, response } = exchangeOf(stream, headers, rawHeaders, socket);
    this.#library.answer(admitted, request, response);
  }

  /** Checks a call and answers it itself, or returns its caller if the library has to answer it. */
  #begin(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: Http2Connection,
  ): Caller | undefined {
    const encoding = encodingOf(headers['content-type']);
    if (headers[':method'] !== 'POST' || encoding === undefined) {
      // gRPC over HTTP/2, Requests. Connect and gRPC-Web use the HTTP port.
      refuse(stream, headers[':method'] === 'POST' ? { ':status': 415 } : { ':status': 405, allow: 'POST' });
      return undefined;
    }
    try {
      const head = readCallHead(headers, placeOf(connection.socket));
      const path = headers[':path']!;
      const method = encoding === 'proto' ? ownMethods.get(path) : undefined;
      if (method !== undefined) {
        const forget = (ended: Http2Call): void => {
          this.calls.delete(ended);
        };
        this.calls.add(new Http2Call(this.#host, stream, { method, head, connection, forget }));
        return undefined;
      }
      if (!this.#library.serves(path)) throw new EverywireError('unsupported', 'The method does not exist.');
      // The library accepts neither parameters nor a deadline beyond the longest timer.
      headers['content-type'] = `application/grpc+${encoding}`;
      if (head.timeoutMs === undefined) delete headers['grpc-timeout'];
      return head.caller;
    } catch (caught) {
      refuse(stream, trailersOnly(toEverywireError(caught)));
      return undefined;
    }
  }
}

/** Terminates TLS in front of a server of HTTP/2. */
function createSecure(tls: TlsEnd, http2: Http2Server): Server {
  const server = createTlsServer({ noDelay: true, ...tls.options, ALPNProtocols: ['h2'] }, (socket) => {
    http2.emit('connection', socket);
  });
  tls.attach(server, { name });
  return server;
}

/** A response of trailers only (gRPC over HTTP/2, Responses). */
function trailersOnly(error: EverywireError): OutgoingHttpHeaders {
  return {
    ':status': 200,
    'content-type': 'application/grpc',
    'grpc-accept-encoding': 'identity',
    ...trailersOf(error),
  };
}

/** Answers with a head alone, without reading the rest of the request. */
function refuse(stream: ServerHttp2Stream, head: OutgoingHttpHeaders): void {
  stream.on('error', () => undefined);
  stream.respond(head, { endStream: true });
  stream.close();
}
