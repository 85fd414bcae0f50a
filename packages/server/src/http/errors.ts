import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import { problemMediaType, problemOf, type Problem } from '@everywire/protocol/http';
import type { HttpLimits } from './limits.ts';
import type { Log } from '../core/seams/log.ts';
import { fieldsFor, hasOpenBody, http2StreamOf } from './http2-request.ts';
import { isBodyRead } from './body.ts';
import { refuse } from './node-server.ts';
import { HttpRefusal, problemHeaders } from './problem.ts';
import { rawPath } from './percent.ts';
import { targetPath } from './head-check.ts';

/** The used fields of Fastify's errors. */
interface FrameworkError {
  readonly code?: string;
  readonly statusCode?: number;
  readonly validation?: readonly {
    readonly instancePath: string;
    readonly message?: string;
    readonly params: object;
  }[];
}

export const unreadableType = (): EverywireError =>
  new HttpRefusal('unsupported', 'Content-Type must be a media type such as text/plain.', {
    headers: { 'Accept-Post': '*/*' },
  });

/** Our errors for the errors of Fastify. */
const frameworkRefusals: ReadonlyMap<string, () => EverywireError> = new Map([
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', unreadableType],
  ['FST_ERR_CTP_INVALID_CONTENT_TYPE', unreadableType],
  [
    'FST_ERR_BAD_URL',
    () =>
      new EverywireError('malformed', 'In the request target, % must be followed by UTF-8 in hexadecimal.'),
  ],
  [
    'FST_ERR_MAX_PARAM_LENGTH',
    () => new EverywireError('too_large', 'The request target is too long.', { httpStatus: 414 }),
  ],
]);

/** Answers an error of a handler or of the framework as a problem document (RFC 9457). */
export function answerError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  { limits, log }: { readonly limits: HttpLimits; readonly log: Log },
): FastifyReply {
  const error = refusalOf(thrown as FrameworkError);
  if (error.code === 'internal')
    log.error({ err: error.cause ?? error, path: rawPath(request.url) }, 'a request failed');
  if (isBodyDue(request.raw, reply.raw)) {
    // The server does not wait for a body that it will not use.
    reply.hijack();
    refuse(request.raw, reply.raw, error, { limits }, reply.getHeaders() as OutgoingHttpHeaders);
    return reply;
  }
  // Fastify would close the connection after a body that it could not parse. This body was read to its end, so the next
  // request can follow.
  return reply
    .removeHeader('connection')
    .code(error.httpStatus)
    .headers(fieldsFor(request.raw, problemHeaders(error, limits.retryAfterMs)))
    .type(problemMediaType)
    .send(JSON.stringify(withErrors(problemOf(error, rawPath(request.url)), thrown as FrameworkError)));
}

/** The same for a request outside Fastify. `fields` are further fields of the answer. */
export function answerRawError(
  thrown: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  { limits, log }: { readonly limits: HttpLimits; readonly log: Log },
  fields: OutgoingHttpHeaders,
): void {
  const error = toEverywireError(thrown);
  const path = rawPath(targetPath(request.url ?? '/'));
  if (error.code === 'internal') log.error({ err: error.cause ?? error, path }, 'a request failed');
  if (isBodyDue(request, response)) {
    refuse(request, response, error, { limits }, fields);
    return;
  }
  const body = JSON.stringify(problemOf(error, path));
  response.writeHead(error.httpStatus, {
    ...fields,
    ...fieldsFor(request, problemHeaders(error, limits.retryAfterMs)),
    'Content-Type': problemMediaType,
    'Content-Length': Buffer.byteLength(body),
  });
  response.end(body);
}

/** Whether some of the request's body has not come, or not been read. */
function isBodyDue(request: IncomingMessage, response: ServerResponse): boolean {
  const { headers } = request;
  const stream = http2StreamOf(response);
  if (stream !== undefined) return hasOpenBody(stream);
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
  return hasBody && !isBodyRead(request);
}

function refusalOf(thrown: FrameworkError): EverywireError {
  if (thrown.validation !== undefined) {
    return new EverywireError('invalid', 'The body does not match the schema.');
  }
  const known = frameworkRefusals.get(thrown.code ?? '');
  if (known !== undefined) return known();
  const status = thrown.statusCode ?? 500;
  if (typeof thrown.code === 'string' && thrown.code.startsWith('FST_') && status >= 400 && status < 500) {
    return new EverywireError('malformed', 'The request could not be understood.', { httpStatus: status });
  }
  return toEverywireError(thrown);
}

/** The largest number of pointers in one answer. A thousand entries may all lack the same member. */
const errorsMax = 20;

/** One entry for each violation of the schema, with a pointer to its place (RFC 9457 §3, RFC 6901). */
function withErrors(problem: Problem, { validation }: FrameworkError): Problem {
  if (validation === undefined) return problem;
  const errors = validation.slice(0, errorsMax).map(({ instancePath, message, params }) => {
    const extra = (params as { additionalProperty?: string }).additionalProperty;
    const missing = (params as { missingProperty?: string }).missingProperty;
    const member = extra ?? missing;
    const path = member === undefined ? instancePath : `${instancePath}/${escapePointer(member)}`;
    return { detail: message ?? 'is wrong', pointer: `#${path}` };
  });
  return { ...problem, errors };
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1');
}
