import { Socket } from 'node:net';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { EverywireError } from '@everywire/protocol';
import { endHttp2, http2StreamOf } from '../../../http/http2-request.ts';
import { endAfter } from '../../../http/linger.ts';
import { refusalBytes, refusals, statusOf, type Refusal } from './refusals.ts';

/** Sends an answer, unless the peer has gone or has one. */
export function answer(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Buffer,
  type = 'text/plain; charset=UTF-8',
): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  });
  const stream = http2StreamOf(response);
  if (stream === undefined) response.end(body);
  else endHttp2(response, stream, body);
}

/** Answers in the form of Engine.IO. */
export function refuse(
  response: ServerResponse,
  refusal: Refusal,
  headers: Readonly<Record<string, string>> = {},
): void {
  answer(response, statusOf(refusal), headers, JSON.stringify(refusal), 'application/json');
}

/** Answers an error for which Engine.IO has no code. */
export function answerProblem(
  response: ServerResponse,
  error: EverywireError,
  headers: Readonly<Record<string, string>>,
): void {
  const retry = error.row.comeBack === 'later' ? { 'Retry-After': '1' } : {};
  // Closes the connection, so that the rest of an unread body is not read as a request.
  const isCut = error.code === 'too_large' || error.code === 'timed_out';
  const closing = isCut && http2StreamOf(response) === undefined ? { Connection: 'close' } : {};
  const body = JSON.stringify({ code: refusals.badRequest.code, message: error.message });
  answer(response, error.httpStatus, { ...headers, ...retry, ...closing }, body, 'application/json');
}

/** Answers a handshake. */
export function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  if (socket instanceof Socket) endAfter(socket, refusalBytes(refusal));
  else socket.destroy();
}
