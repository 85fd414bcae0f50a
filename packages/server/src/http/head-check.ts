import type { IncomingMessage } from 'node:http';
import { EverywireError } from '@everywire/protocol';
import { messageBytesMax } from '../core/message-bounds.ts';
import type { HttpLimits } from './limits.ts';
import { HttpRefusal } from './problem.ts';
import { rawPath } from './percent.ts';

// RFC 3986 §3.2.2 and §3.2.3: a name, an IPv4 address or a bracketed IPv6 address, and perhaps a port.
const hostShape = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;

const cloudEventType = /^\s*application\/cloudevents\+json\s*(?:;|$)/i;

/** Largest body of a request: a plain payload, or JSON around it. */
export function bodyBytesMax({ url, headers }: RequestHead, limits: HttpLimits): number {
  const path = rawPath(targetPath(url ?? ''));
  const isJson =
    path === '/publish' || path === '/stream' || cloudEventType.test(headers['content-type'] ?? '');
  return isJson ? Math.max(batchBodyBytesMin, messageBytesMax(limits, 'json')) : limits.payloadBytesMax;
}

type RequestHead = Pick<IncomingMessage, 'url' | 'headers'>;

/** The least limit for a batch, also if messages are limited to fewer bytes. */
const batchBodyBytesMin = 1024 * 1024;

/**
 * Checks a request's head first. Refuses heads that two readers could understand in different ways, and heads that are
 * too large. Returns the refusal; the caller then closes the connection. `bytesMax` limits the body.
 */
export function checkHead(
  request: IncomingMessage,
  limits: HttpLimits,
  bytesMax = bodyBytesMax(request, limits),
): EverywireError | undefined {
  const { headers, rawHeaders } = request;
  const url = request.url ?? '';
  // Node drops fields beyond its `maxHeadersCount`, which is set one above our limit.
  if (rawHeaders.length > limits.headerCountMax * 2) {
    return new HttpRefusal('too_large', `A request has at most ${limits.headerCountMax} header fields.`, {
      httpStatus: 431,
    });
  }
  if (url.length > limits.urlBytesMax) {
    return new HttpRefusal('too_large', `A request target has at most ${limits.urlBytesMax} bytes.`, {
      httpStatus: 414,
    });
  }
  return (
    checkTarget(request.method ?? '', url) ??
    checkRepeated(request, rawHeaders) ??
    checkHost(request) ??
    checkFraming(request) ??
    checkLength(headers['content-length'], bytesMax)
  );
}

/** The target without the scheme and authority of the absolute form (RFC 9112 §3.2.2). */
export function targetPath(url: string): string {
  const match = /^https?:\/\/[^/?]*/i.exec(url);
  if (match === null) return url;
  const rest = url.slice(match[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

function checkTarget(method: string, url: string): EverywireError | undefined {
  const isPath = targetPath(url).startsWith('/') || (method === 'OPTIONS' && url === '*');
  if (isPath && !url.includes('#')) return undefined;
  return malformed('The request target must be a path; write # in a name as %23.');
}

/** Repeated fields of which two readers could use different ones. */
function checkRepeated(request: IncomingMessage, rawHeaders: readonly string[]): EverywireError | undefined {
  let hosts = 0;
  let authorizations = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!;
    if (name.length === 4) hosts += Number(name.toLowerCase() === 'host');
    else if (name.length === 13) authorizations += Number(name.toLowerCase() === 'authorization');
  }
  const isNeeded = request.httpVersionMajor === 1 && request.httpVersionMinor >= 1;
  // RFC 9112 §3.2: a missing or a second Host is a 400.
  if (hosts > 1 || (hosts === 0 && isNeeded)) return malformed('A request must have exactly one Host field.');
  // Node uses the first of several. A proxy that checked the last one would have admitted another client.
  return authorizations > 1 ? malformed('A request has at most one Authorization field.') : undefined;
}

/** In HTTP/2, Host may come as :authority. */
function checkHost({ headers: { host } }: IncomingMessage): EverywireError | undefined {
  return host === undefined || hostShape.test(host) ? undefined : malformed('Host is not a valid host name.');
}

function checkFraming(request: IncomingMessage): EverywireError | undefined {
  const coding = request.headers['transfer-encoding'];
  if (coding !== undefined) {
    // RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0 is a framing error; an unknown coding is 501.
    if (request.httpVersionMajor === 1 && request.httpVersionMinor === 0)
      return malformed('HTTP/1.0 does not allow Transfer-Encoding.');
    if (coding.trim().toLowerCase() !== 'chunked') {
      return new HttpRefusal('unsupported', 'The only supported transfer coding is chunked.', {
        httpStatus: 501,
      });
    }
  }
  return isRead(request) && Number(request.headers['content-length'] ?? 0) > 0
    ? noContent(request)
    : undefined;
}

/** Whether content has no meaning for the request (RFC 9110 §9.3.1). */
function isRead({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

/**
 * Whether a request without content may still have some: some proxies send an empty body in chunks with every request
 * whose length they do not know.
 */
export function mayHaveContent(request: IncomingMessage): boolean {
  return isRead(request) && request.headers['transfer-encoding'] !== undefined;
}

/** Content in a GET can be a request that was smuggled past a proxy. */
export function noContent({ method }: IncomingMessage): EverywireError {
  return malformed(`A ${method} request must not have a body.`);
}

function checkLength(length: string | undefined, bytesMax: number): EverywireError | undefined {
  if (length === undefined || Number(length) <= bytesMax) return undefined;
  return new EverywireError('too_large', `A body has at most ${bytesMax} bytes here.`);
}

function malformed(detail: string): EverywireError {
  return new EverywireError('malformed', detail);
}
