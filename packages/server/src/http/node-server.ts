import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import { constants } from 'node:http2';
import { createServer as createSecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import { problemMediaType, problemOf } from '@everywire/protocol/http';
import type { Admission } from '../core/sessions/admission.ts';
import type { Clock } from '../core/clock.ts';
import type { HttpLimits } from './limits.ts';
import type { Log } from '../core/seams/log.ts';
import { guard } from '../net/guard.ts';
import type { TlsEnd } from '../net/tls-end.ts';
import type { IsProxy } from '../net/trusted-proxies.ts';
import { checkHead, mayHaveContent, noContent, targetPath } from './head-check.ts';
import { Http2Front, unknownExpectation } from './http2-front.ts';
import { endHttp2, fieldsFor, http2StreamOf } from './http2-request.ts';
import { readBody } from './body.ts';
import { endAfter } from './linger.ts';
import { hostRefusal } from './origin.ts';
import { lookBehindProxy } from './peer.ts';
import { closing, problemBytes, problemHeaders } from './problem.ts';
import { rawPath } from './percent.ts';
import type { RawRequests } from './raw-requests.ts';
import { endQueue, isQueueEnded, isQueueHeld, keepInput, serveInTurn } from './request-queue.ts';
import { isTakenOver, takeOver } from './take-over.ts';
import { findStrippedUpgrade, type UpgradeRouter, wantsWebSocket } from './upgrades.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface NodeServerOptions {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Absent: HTTP/1.1 in clear text. Otherwise HTTP/1.1 and HTTP/2 over TLS. */
  readonly tls?: TlsEnd | undefined;
  /** Decides about each connection; absent: the server accepts all. */
  readonly admission?: Admission | undefined;
  /** The proxies whose `X-Forwarded-For` the server trusts; absent: none. */
  readonly isProxy?: IsProxy | undefined;
  readonly upgrades: UpgradeRouter;
  /** Requests that do not go to the handler. */
  readonly requests: RawRequests;
  /** A reason to refuse every request with this path, such as draining. */
  readonly refusalOf: (path: string) => EverywireError | undefined;
  /** How long an idle connection is kept; absent: for 65 s. */
  readonly keepAliveMs?: number | undefined;
  /** Names of this server in `Host`; absent: any. */
  readonly isHost?: ((host: string) => boolean) | undefined;
  /** Fields that every answer to a request has, refusals included. */
  readonly fieldsOf: (request: Pick<IncomingMessage, 'headers'>) => OutgoingHttpHeaders;
}

/** The first byte of a TLS connection (RFC 8446 §5.1). */
const tlsHandshake = 0x16;
/** How often Node looks for request heads that take too long. */
const headsCheckedEveryMs = 1_000;
/**
 * Longer than the idle time-outs of common load balancers (60 s), so that the load balancer closes first (RFC 9112
 * §9.6).
 */
const defaultKeepAliveMs = 65_000;

/** Our errors for the errors of Node's parser. All others are invalid bytes: 400. */
const parserRefusals: ReadonlyMap<string, () => EverywireError> = new Map([
  ['HPE_HEADER_OVERFLOW', () => tooLarge('The request head is too large.', 431)],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', () => tooLarge('The chunk extensions are too large.', 413)],
  ['ERR_HTTP_REQUEST_TIMEOUT', () => new EverywireError('timed_out', 'The request took too long to arrive.')],
  [
    'HPE_INVALID_VERSION',
    () => new EverywireError('unsupported', 'This server needs HTTP/1.1.', { httpStatus: 505 }),
  ],
]);

export interface NodeServer {
  readonly server: Server;
  /** Absent without TLS. */
  readonly http2: Http2Front | undefined;
}

/**
 * Node's HTTP server with our limits, in front of Fastify. It is strict about heads, and each refusal is a problem
 * document.
 */
export function createNodeServer(handler: Handler, options: NodeServerOptions): NodeServer {
  const { limits, upgrades, tls, admission, isProxy = () => false } = options;
  const serve: Handler = (request, response) => {
    lookBehindProxy(request, isProxy);
    const handle = options.requests.find(request)?.handle ?? handler;
    if (mayHaveContent(request)) void serveWithoutContent(request, response, { ...options, handle });
    else handle(request, response);
  };
  const bounds: ServerOptions = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.handshakeTimeoutMs,
    // No limit here: `readBody` limits the rate of a body, so a large one may take longer.
    requestTimeout: 0,
    connectionsCheckingInterval: headsCheckedEveryMs,
    keepAliveTimeout: options.keepAliveMs ?? defaultKeepAliveMs,
    // Checked with the rest of the head, so that the answer is a problem document.
    requireHostHeader: false,
    insecureHTTPParser: false,
    // The server holds a socket with this much unsent. Node emits `drain` only for sockets above this mark.
    highWaterMark: limits.outboundHeldFromBytes,
    // Other upgrades, such as the h2c that curl offers, may be ignored (RFC 9110 §7.8).
    ...{ shouldUpgradeCallback: wantsWebSocket },
  };
  const answer: Handler = (request, response) => {
    serveInTurn(request.socket, response, limits, () => {
      if (admit(request, response, options)) serve(request, response);
    });
  };
  const { server, http2 } =
    tls === undefined
      ? { server: createServer(bounds, answer), http2: undefined }
      : createSecure({ bounds, answer, serve }, tls, options);
  server.maxHeadersCount = limits.headerCountMax + 1;
  answerHalfClosed(server, tls === undefined ? 'connection' : 'secureConnection', options);
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    // RFC 9110 §10.1.1: a refusal replaces the 100, so that the client never sends the body.
    serveInTurn(request.socket, response, limits, () => {
      if (!admit(request, response, options)) return;
      response.writeContinue();
      serve(request, response);
    });
  });
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
    serveInTurn(request.socket, response, limits, () => {
      if (!isOver(request.socket))
        refuse(request, response, unknownExpectation(), options, options.fieldsOf(request));
    });
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    const handOver = keepInput(socket);
    afterAnswers(socket, () => {
      handOver();
      const path = rawPath(targetPath(request.url ?? '/'));
      const refusal =
        checkHead(request, limits) ?? checkName(request, options.isHost) ?? options.refusalOf(path);
      lookBehindProxy(request, isProxy);
      if (refusal === undefined) upgrades.handle(request, socket, head);
      else endAfter(socket, problemBytes(refusal, path, limits.retryAfterMs));
    });
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    const refusal = new EverywireError('unsupported', 'This server is not a proxy.', { httpStatus: 405 });
    afterAnswers(socket, () => endAfter(socket, problemBytes(refusal, undefined, limits.retryAfterMs)));
    options.log.debug({ target: request.url }, 'refused a CONNECT');
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    answerParserError(error, socket, options);
  });
  if (admission !== undefined) guard(server, admission);
  return { server, http2 };
}

/** The same server over TLS, and a server of HTTP/2 beside it. ALPN within TLS decides which of them serves a connection. */
function createSecure(
  {
    bounds,
    answer,
    serve,
  }: { readonly bounds: ServerOptions; readonly answer: Handler; readonly serve: Handler },
  tls: TlsEnd,
  options: NodeServerOptions,
): NodeServer {
  const { limits, clock, log } = options;
  const server = createSecureServer({ ...bounds, ...tls.options, ALPNProtocols: ['h2', 'http/1.1'] }, answer);
  const http2 = new Http2Front({
    limits,
    clock,
    log,
    idleMs: options.keepAliveMs ?? defaultKeepAliveMs,
    refusalOf: (request) => refusalOfHead(request, options),
    refuse: (request, response, refusal) =>
      refuse(request, response, refusal, options, options.fieldsOf(request)),
    serve,
  });
  const serveHttp1 = server.listeners('secureConnection');
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') http2.accept(socket);
    else for (const listener of serveHttp1) listener.call(server, socket);
  });
  const plain = new EverywireError('malformed', 'This port uses TLS; use an https address.');
  tls.attach(server, {
    name: 'http',
    answerPlain: (socket) => endAfter(socket, problemBytes(plain, undefined, limits.retryAfterMs)),
  });
  return { server, http2 };
}

/**
 * Answers requests whose client has closed its half of the connection. A client that is gone looks the same, so the
 * server does not wait for an answer longer than `closeTimeoutMs`.
 */
function answerHalfClosed(
  server: Server,
  event: 'connection' | 'secureConnection',
  { clock, limits }: NodeServerOptions,
): void {
  Object.assign(server, { httpAllowHalfOpen: true });
  const cutLater = function (this: Socket): void {
    const timer = clock.after(limits.closeTimeoutMs, () => this.destroy());
    this.once('close', () => timer.cancel());
  };
  server.on(event, (socket: Socket) => void socket.on('end', cutLater));
}

/** Returns true if the request may be served. Otherwise it was answered, or must not be answered. */
function admit(request: IncomingMessage, response: ServerResponse, options: NodeServerOptions): boolean {
  if (isOver(request.socket)) return false;
  const refusal = refusalOfHead(request, options);
  if (refusal !== undefined) refuse(request, response, refusal, options, options.fieldsOf(request));
  return refusal === undefined;
}

/** Refuses a page whose own host name resolves to this machine: only the name differs from ours. */
function checkName(
  { headers: { host } }: IncomingMessage,
  isHost: NodeServerOptions['isHost'],
): EverywireError | undefined {
  return host === undefined || isHost === undefined || isHost(host) ? undefined : hostRefusal(host);
}

/** Judges the body of a GET by its content: an empty one means nothing. */
async function serveWithoutContent(
  request: IncomingMessage,
  response: ServerResponse,
  options: NodeServerOptions & { readonly handle: Handler },
): Promise<void> {
  try {
    await readBody(request, { ...options, bytesMax: 0 });
  } catch (caught) {
    const error = toEverywireError(caught);
    const refusal = error.code === 'too_large' ? noContent(request) : error;
    if (!isOver(request.socket)) refuse(request, response, refusal, options, options.fieldsOf(request));
    return;
  }
  options.handle(request, response);
}

/** Whether the connection already has its last answer, so that later bytes are not a request. */
function isOver(socket: Socket): boolean {
  return isTakenOver(socket) || isQueueEnded(socket);
}

function refusalOfHead(
  request: IncomingMessage,
  { limits, requests, refusalOf, isHost }: NodeServerOptions,
): EverywireError | undefined {
  const bytesMax = requests.find(request)?.bodyBytesMax;
  const refusal =
    checkHead(request, limits, bytesMax) ?? checkName(request, isHost) ?? findStrippedUpgrade(request);
  // A page can read the refusal of its request only if the preflight before it succeeds (Fetch §4.9).
  if (refusal !== undefined || request.method === 'OPTIONS') return refusal;
  return refusalOf(rawPath(targetPath(request.url ?? '/')));
}

/**
 * Answers and closes, because the bytes after a bad head must not be read as a request. `more`: further fields of the
 * answer.
 */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: EverywireError,
  { limits }: Pick<NodeServerOptions, 'limits'>,
  more: OutgoingHttpHeaders = {},
): void {
  const instance = rawPath(targetPath(request.url ?? '/'));
  const body = JSON.stringify(problemOf(refusal, instance));
  const fields = {
    ...more,
    'Content-Type': problemMediaType,
    ...problemHeaders(refusal, limits.retryAfterMs),
  };
  const stream = http2StreamOf(response);
  if (stream !== undefined) {
    // Other streams of the connection are independent.
    if (stream.headersSent) stream.close(constants.NGHTTP2_CANCEL);
    else endHttp2(response.writeHead(refusal.httpStatus, fieldsFor(request, fields)), stream, body);
    return;
  }
  if (response.socket === request.socket && !response.headersSent) {
    const bytes = problemBytes(refusal, instance, limits.retryAfterMs, more);
    endAfter(takeOver(request, response), bytes);
    return;
  }
  // Earlier requests on this connection get their answers first.
  endQueue(request.socket);
  response.writeHead(refusal.httpStatus, { ...fields, Connection: closing(fields) });
  response.end(body);
}

/** The current response of a socket; Node does not document where it keeps it. */
interface Answering {
  readonly _httpMessage?: (ServerResponse & { readonly req: IncomingMessage }) | null;
}

function answering(socket: Socket): NonNullable<Answering['_httpMessage']> | undefined {
  return (socket as unknown as Answering)._httpMessage ?? undefined;
}

/** Calls `then` when no request on the connection is unanswered; never, if the connection ends before. */
function afterAnswers(socket: Socket, then: () => void): void {
  const current = answering(socket);
  if (current === undefined) then();
  else current.once('close', () => socket.destroyed || isOver(socket) || afterAnswers(socket, then));
}

/** The bytes in which Node's parser found an error. */
function packetOf(error: Error): Buffer | undefined {
  return (error as { readonly rawPacket?: Buffer }).rawPacket;
}

/** The Origin of a head that could not be parsed: with it, a page can read that its head was too large. */
function originIn(error: Error): IncomingHttpHeaders {
  const packet = packetOf(error)?.toString('latin1') ?? '';
  const origin = /\r\norigin:[ \t]*([^\r\n]*)\r\n/i.exec(packet)?.[1]?.trim();
  return origin === undefined ? {} : { origin };
}

function answerParserError(error: NodeJS.ErrnoException, socket: Socket, options: NodeServerOptions): void {
  const isTls = packetOf(error)?.[0] === tlsHandshake;
  options.log.debug({ code: error.code, isTls }, 'a connection sent bytes that are not HTTP');
  if (isTakenOver(socket)) return;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  // The rest of a started head is not late: the server itself does not read it.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isQueueHeld(socket)) return;
  const refusal =
    parserRefusals.get(error.code ?? '')?.() ??
    new EverywireError('malformed', 'The bytes are not an HTTP request.');
  const current = answering(socket);
  const headers = current?.req.complete === false ? current.req.headers : originIn(error);
  const more = options.fieldsOf({ headers });
  const bytes = problemBytes(refusal, undefined, options.limits.retryAfterMs, more);
  if (current === undefined) {
    endAfter(socket, bytes);
  } else if (current.req.complete) {
    // The fault comes after a request that still waits for its answer.
    afterAnswers(socket, () => endAfter(socket, bytes));
  } else if (current.headersSent) {
    socket.destroy();
  } else {
    endAfter(takeOver(current.req, current), bytes);
  }
}

function tooLarge(detail: string, httpStatus: number): EverywireError {
  return new EverywireError('too_large', detail, { httpStatus });
}
