import { request as requestPlain, type IncomingMessage } from 'node:http';
import { request as requestSecure } from 'node:https';
import { asRecord } from '@everywire/protocol';
import { originOf, type Target } from '../target.ts';
import { explainTls } from '../tls.ts';

/** The server was not reached at all. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** The server was reached and then lost; what was not read yet is read with the cursor. */
export class Cut extends Error {
  override readonly name = 'Cut';
}

/** The server said no. */
export class Refused extends Error {
  override readonly name = 'Refused';
  /** The error code of the table, when the answer had one. */
  readonly code: string | undefined;
  readonly status: number | undefined;

  constructor(
    message: string,
    about: { readonly code?: string | undefined; readonly status?: number | undefined },
  ) {
    super(message);
    this.code = about.code;
    this.status = about.status;
  }

  /** A server that is stopping or starting, or has had too much, is worth another try. */
  get isPassing(): boolean {
    return this.status === 429 || this.status === 503;
  }
}

export interface Request {
  readonly method?: 'GET' | 'POST';
  /** Path and query, as they go out: nothing is resolved or normalised. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly signal?: AbortSignal;
  /** The connection counts as cut after that long without a byte. */
  readonly idleMs: number;
}

/**
 * Sends a request and resolves with the answer's head when it is a success.
 * @throws Unreachable, Cut, Refused
 */
export async function send(target: Target, request: Request): Promise<IncomingMessage> {
  const answer = await exchange(target, request);
  if (answer.statusCode === undefined || answer.statusCode >= 300) throw await readRefusal(answer);
  return answer;
}

function exchange(
  target: Target,
  { method = 'GET', path, headers = {}, body, signal, idleMs }: Request,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const host = target.host.replace(/^\[|\]$/g, '');
    const length: Record<string, string> =
      body === undefined ? {} : { 'Content-Length': String(body.length) };
    const { token } = target;
    const authorization: Record<string, string> =
      token === undefined ? {} : { Authorization: `Bearer ${token}` };
    const start = target.isSecure ? requestSecure : requestPlain;
    const outgoing = start({
      host,
      port: target.port,
      method,
      path,
      agent: false,
      ...target.certificate,
      headers: { ...headers, ...length, ...authorization },
      ...(signal === undefined ? {} : { signal }),
    });
    let isConnected = false;
    outgoing.once('socket', (socket) =>
      socket.once(target.isSecure ? 'secureConnect' : 'connect', () => (isConnected = true)),
    );
    outgoing.setTimeout(idleMs, () =>
      outgoing.destroy(new Error(`nothing was heard for ${idleMs / 1000} s`)),
    );
    outgoing.once('response', resolve);
    outgoing.once('error', (cause: NodeJS.ErrnoException) => {
      const reason = explainTls(cause) ?? cause.code ?? cause.message;
      const where = originOf(target);
      reject(
        isConnected
          ? new Cut(`${where} closed the connection (${reason})`, { cause })
          : new Unreachable(`${where} cannot be reached (${reason})`, { cause }),
      );
    });
    outgoing.end(body);
  });
}

/** The body as chunks of text, split nowhere within a character. @throws Cut */
export async function* readText(answer: IncomingMessage): AsyncGenerator<string, void, undefined> {
  answer.setEncoding('utf8');
  try {
    for await (const chunk of answer) yield chunk as string;
  } catch (cause) {
    throw new Cut(
      `the connection was lost (${(cause as NodeJS.ErrnoException).code ?? (cause as Error).message})`,
      {
        cause,
      },
    );
  }
}

export async function readWhole(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of readText(answer)) text += chunk;
  return text;
}

async function readRefusal(answer: IncomingMessage): Promise<Refused> {
  const { statusCode: status } = answer;
  const problem = readProblem(await readWhole(answer));
  const code = typeof problem?.['code'] === 'string' ? problem['code'] : undefined;
  const detail = problem?.['detail'] ?? problem?.['title'];
  const words = typeof detail === 'string' ? detail : 'no reason was given';
  return new Refused(`${code ?? 'refused'} (HTTP ${status ?? '?'}): ${words}`, { code, status });
}

/** A problem (RFC 9457), or nothing: what stands between us and the server answers in its own way. */
function readProblem(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return asRecord(JSON.parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
