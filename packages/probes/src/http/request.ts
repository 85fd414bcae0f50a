import { parseRetryAfterMs } from '@everywire/protocol';
import { readProblem } from '@everywire/protocol/http';
import {
  request as startRequest,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { Cut, toCut, toRefused, type Refused } from '../errors.ts';
import type { Sockets } from '../sockets.ts';
import type { Tap } from '../tap.ts';
import { originOf, type Target } from '../target.ts';

export interface Request {
  readonly method?: 'GET' | 'POST';
  /** Path and query, which are sent unchanged. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** The connection counts as cut after that long without a byte. */
  readonly idleMs: number;
}

/**
 * Sends a request on a new connection, and resolves with the head of a successful answer.
 * @throws Unreachable, Cut, Refused
 */
export async function send(target: Target, sockets: Sockets, request: Request): Promise<IncomingMessage> {
  const { method = 'GET', path, headers = {}, body, idleMs } = request;
  const tap = await sockets.connect();
  tap.expectBytesWithin(idleMs);
  const { token } = target;
  const outgoing = startOn(tap, target, {
    method,
    path,
    headers: {
      ...headers,
      ...(body === undefined ? {} : { 'Content-Length': String(body.length) }),
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
  });
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.once('error', (cause) => reject(explainEnd(cause, target)));
    outgoing.end(body);
  });
  // A body that ends with its connection looks complete if the connection breaks.
  tap.once('error', (error) => answer.destroy(error));
  if (answer.statusCode === undefined || answer.statusCode >= 300) throw await readRefusal(answer);
  return answer;
}

/** Starts a request on this connection. */
export function startOn(tap: Tap, target: Target, options: RequestOptions): ClientRequest {
  return startRequest({
    host: target.host.replace(/^\[|\]$/g, ''),
    port: target.port,
    // The Host field leaves out the default port of the scheme.
    defaultPort: target.isSecure ? 443 : 80,
    createConnection: () => tap,
    ...options,
  });
}

/** Why an exchange ended before its answer. */
export function explainEnd(cause: NodeJS.ErrnoException, target: Target): Cut {
  if (cause instanceof Cut) return cause;
  return new Cut(`${originOf(target)} closed the connection (${cause.code ?? cause.message})`, { cause });
}

/** The body as chunks of text, never split within a character. @throws Cut */
export async function* readText(answer: IncomingMessage): AsyncGenerator<string, void, undefined> {
  answer.setEncoding('utf8');
  try {
    for await (const chunk of answer) yield chunk as string;
  } catch (cause) {
    throw toCut(cause);
  }
}

export async function readWhole(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of readText(answer)) text += chunk;
  return text;
}

/** Reads a refusal from an answer: a problem (RFC 9457), or the own format of a proxy. */
export async function readRefusal(answer: IncomingMessage): Promise<Refused> {
  const { statusCode: httpStatus } = answer;
  const retryAfterMs = parseRetryAfterMs(answer.headers['retry-after'], Date.now());
  const problem = readProblem(parse(await readWhole(answer)));
  const refusal = { code: problem?.code, message: problem?.message, retryAfterMs };
  return toRefused(refusal, { httpStatus }, ` (HTTP ${httpStatus ?? '?'})`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
