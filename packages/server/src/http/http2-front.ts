import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { EverywireError } from '@everywire/protocol';
import type { Clock } from '../core/clock.ts';
import type { HttpLimits } from './limits.ts';
import type { Log } from '../core/seams/log.ts';
import { Http2Connections, http2Bounds } from './http2-connections.ts';
import { exchangeOf, headBytesOf } from './http2-request.ts';

export interface Http2FrontOptions {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** The idle time-out, the same as for HTTP/1.1. */
  readonly idleMs: number;
  /** The refusal of a request by its head; `undefined`: it is served. */
  readonly refusalOf: (request: IncomingMessage) => EverywireError | undefined;
  readonly refuse: (request: IncomingMessage, response: ServerResponse, refusal: EverywireError) => void;
  readonly serve: (request: IncomingMessage, response: ServerResponse) => void;
}

/**
 * HTTP/2 on connections that another listener has accepted. The server handles the requests like those of HTTP/1.1. It
 * does not announce WebSocket on a stream (RFC 8441), so browsers open an HTTP/1.1 connection for it.
 */
export class Http2Front {
  readonly #server: ReturnType<typeof createServer>;
  readonly #connections: Http2Connections;
  readonly #options: Http2FrontOptions;

  constructor(options: Http2FrontOptions) {
    const { limits } = options;
    this.#options = options;
    this.#server = createServer({
      ...http2Bounds(limits, limits.http2StreamsMax),
      // Plus the four pseudo-fields for method, scheme, authority and path.
      maxHeaderListPairs: limits.headerCountMax + 4,
    });
    this.#connections = new Http2Connections(options);
    this.#connections.watch(this.#server);
    this.#server.on('stream', (stream, headers, _flags, rawHeaders: string[]) =>
      this.#begin(stream, headers, rawHeaders),
    );
  }

  /** TLS is done, and the peer has chosen HTTP/2. */
  accept(socket: Socket): void {
    this.#server.emit('connection', socket);
  }

  closeIdle(): void {
    this.#connections.closeIdle();
  }

  /** Requests in progress may end. */
  closeAll(): void {
    this.#connections.closeAll();
  }

  destroyAll(): void {
    this.#connections.destroyAll();
  }

  #begin(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: readonly string[]): void {
    const connection = this.#connections.called(stream);
    if (connection === undefined) {
      stream.destroy();
      return;
    }
    stream.on('error', (error: Error) => this.#options.log.debug({ err: error }, 'an HTTP/2 stream broke'));
    const authority = headers[':authority'];
    const isAmbiguous = headers.host !== undefined && authority !== undefined && headers.host !== authority;
    const { request, response } = exchangeOf(stream, headers, rawHeaders, connection.socket);
    const { refusalOf, refuse, serve } = this.#options;
    const refusal = isAmbiguous
      ? new EverywireError('malformed', 'Host and :authority must be equal.')
      : headers[':method'] === 'CONNECT'
        ? new EverywireError('unsupported', 'This server is not a proxy.', { httpStatus: 405 })
        : (this.#tooLarge(rawHeaders) ?? refusalOf(request));
    if (refusal !== undefined) {
      refuse(request, response, refusal);
      return;
    }
    const { expect } = headers;
    if (expect === undefined) serve(request, response);
    else if (expect.toLowerCase() !== '100-continue') refuse(request, response, unknownExpectation());
    else {
      response.writeContinue();
      serve(request, response);
    }
  }

  /** Node enforces our settings only after the peer has acknowledged them, so the first packet may exceed them. */
  #tooLarge(rawHeaders: readonly string[]): EverywireError | undefined {
    const { headerBytesMax } = this.#options.limits;
    return headBytesOf(rawHeaders) > headerBytesMax
      ? new EverywireError('too_large', 'The request head is too large.', { httpStatus: 431 })
      : undefined;
  }
}

export function unknownExpectation(): EverywireError {
  return new EverywireError('unsupported', 'The only supported expectation is 100-continue.', {
    httpStatus: 417,
  });
}
