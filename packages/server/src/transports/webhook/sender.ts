import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, buildConnector, errors, request } from 'undici';
import type { WebhookFigures } from './figures.ts';
import type { TargetRules } from './targets.ts';

/** The result of an attempt. */
export type Attempt =
  | { readonly kind: 'taken'; readonly status: number; readonly body: string }
  | {
      readonly kind: 'failed';
      /** Absent when no answer came. */
      readonly status?: number | undefined;
      /** For people. */
      readonly reason: string;
      readonly retryAfter?: string | undefined;
      /** There was a connection, although no answer came. */
      readonly wasConnected?: true | undefined;
    };

export interface SenderOptions {
  readonly rules: TargetRules;
  /** The time for one attempt, from the connection to the last byte of the answer. */
  readonly timeoutMs: number;
  /** How many bytes of an answer are read. */
  readonly answerBytesMax: number;
  /** Attempts to one origin at the same time. */
  readonly perHostMax: number;
  readonly userAgent: string;
  /** For tests: how names become addresses. */
  readonly lookup?: typeof systemLookup | undefined;
  readonly figures?: Pick<WebhookFigures, 'taken' | 'failed'> | undefined;
  /** For tests: certificates that are trusted besides the system's. */
  readonly ca?: string | undefined;
}

export interface Outgoing {
  readonly url: URL;
  /** Whether the caller reads the body of the answer; otherwise the head is enough. */
  readonly wantsBody?: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** The error code for a forbidden address. */
const blockedCode = 'EBLOCKED';
/** How long the server reads a body that it does not need, to reuse the connection. */
const bodyGraceMs = 1_000;
/** Errors of a connection that the receiver closed. */
const resetCodes: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/**
 * Posts to endpoints. Checks every connection by its address after the name was resolved, and connects to exactly that
 * address. Follows no redirect. Reads an answer up to a limit of size and time.
 */
export class Sender {
  readonly #options: SenderOptions;
  readonly #agent: Agent;
  /** By port, because the rules need the port and a lookup does not get it. */
  readonly #connectors = new Map<number, buildConnector.connector>();
  readonly #underWay = new Set<AbortController>();

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connections: options.perHostMax,
      pipelining: 1,
      maxHeaderSize: options.answerBytesMax,
      headersTimeout: options.timeoutMs,
      bodyTimeout: options.timeoutMs,
      // Short, because there may be thousands of endpoints with an idle connection each.
      keepAliveTimeout: 4_000,
      connect: (target, callback) => this.#connect(target, callback),
    });
  }

  /** Never rejects: every error is a failed attempt. */
  async post(outgoing: Outgoing): Promise<Attempt> {
    const attempt = await this.#post(outgoing);
    const { figures } = this.#options;
    if (figures !== undefined) figures[attempt.kind] += 1;
    return attempt;
  }

  async #post(outgoing: Outgoing): Promise<Attempt> {
    // One controller for each attempt: a signal with the life of the server would keep a reference to every attempt.
    const cut = new AbortController();
    this.#underWay.add(cut);
    const timer = setTimeout(() => cut.abort(new errors.BodyTimeoutError()), this.#options.timeoutMs);
    try {
      for (;;) {
        // A receiver may close an idle connection at the moment of its reuse. That is not a failure.
        const isReused = this.#hasIdleConnection(outgoing.url);
        try {
          return await this.#attempt(outgoing, cut.signal);
        } catch (caught) {
          if (!isReused || !resetCodes.has((caught as NodeJS.ErrnoException).code)) throw caught;
        }
      }
    } catch (caught) {
      return {
        kind: 'failed',
        reason: explain(caught, this.#options.timeoutMs),
        ...(isUnreachable(caught) ? {} : { wasConnected: true }),
      };
    } finally {
      clearTimeout(timer);
      this.#underWay.delete(cut);
    }
  }

  /** Ends the running attempts as failed. */
  async stop(): Promise<void> {
    for (const cut of this.#underWay) cut.abort();
    await this.#agent.destroy();
  }

  /** One attempt. @throws the error of undici, if no complete answer head came */
  async #attempt({ url, headers, body, wantsBody }: Outgoing, signal: AbortSignal): Promise<Attempt> {
    const response = await request(url, {
      method: 'POST',
      dispatcher: this.#agent,
      headers: { 'User-Agent': this.#options.userAgent, ...headers },
      body,
      signal,
    });
    const text = await this.#readAnswer(response.body, wantsBody === true);
    const { statusCode } = response;
    if (statusCode >= 200 && statusCode < 300) return { kind: 'taken', status: statusCode, body: text };
    const retryAfter = response.headers['retry-after'];
    return {
      kind: 'failed',
      status: statusCode,
      reason:
        statusCode >= 300 && statusCode < 400 ? `${statusCode}: redirects are not followed` : `${statusCode}`,
      retryAfter: Array.isArray(retryAfter) ? retryAfter[0] : retryAfter,
    };
  }

  #hasIdleConnection({ origin }: URL): boolean {
    const stats = this.#agent.stats[origin];
    return stats !== undefined && 'free' in stats && stats.free > 0;
  }

  /**
   * Reads up to the limit, then closes the connection. The head decides the attempt, so a body that breaks off or does not
   * end changes nothing.
   */
  async #readAnswer(body: AnswerBody, isWanted: boolean): Promise<string> {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const graceTimer = isWanted ? undefined : setTimeout(() => body.destroy(), bodyGraceMs);
    try {
      for await (const chunk of body) {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > this.#options.answerBytesMax) break;
      }
    } catch {
      // The received part is the answer.
    } finally {
      clearTimeout(graceTimer);
    }
    return Buffer.concat(chunks).subarray(0, this.#options.answerBytesMax).toString();
  }

  /** The only place that opens a connection. An address in the URL needs no lookup, so it is checked here. */
  #connect(target: buildConnector.Options, callback: buildConnector.Callback): void {
    const { rules } = this.#options;
    const port = Number(target.port) || (target.protocol === 'https:' ? 443 : 80);
    if (isIP(target.hostname) !== 0 && !rules.mayConnect(target.hostname, port, target.hostname)) {
      callback(blocked(), null);
      return;
    }
    this.#connectorOf(port)(target, callback);
  }

  #connectorOf(port: number): buildConnector.connector {
    let connector = this.#connectors.get(port);
    if (connector === undefined) {
      const { timeoutMs, ca } = this.#options;
      connector = buildConnector({
        timeout: timeoutMs,
        autoSelectFamily: true,
        lookup: this.#guardedLookup(port),
        ...(ca === undefined ? {} : { ca }),
      });
      this.#connectors.set(port, connector);
    }
    return connector;
  }

  /** Resolves all addresses of a name. If one of them is forbidden, all of them are. */
  #guardedLookup(port: number): LookupFunction {
    const { rules, lookup = systemLookup } = this.#options;
    return (host, options, callback) => {
      lookup(host, { ...options, all: true }, (error, found) => {
        if (error !== null) {
          callback(error, '', 0);
          return;
        }
        const addresses = found as readonly LookupAddress[];
        const isAllowed =
          addresses.length > 0 && addresses.every(({ address }) => rules.mayConnect(host, port, address));
        if (!isAllowed) callback(blocked(), '', 0);
        else if (options.all === true) callback(null, [...addresses]);
        else callback(null, addresses[0]!.address, addresses[0]!.family);
      });
    };
  }
}

type AnswerBody = AsyncIterable<Buffer> & { destroy(): unknown };

function blocked(): Error {
  return Object.assign(new Error('The target has an address that is not allowed.'), { code: blockedCode });
}

const knownFailures: ReadonlyMap<string, string> = new Map([
  ['ENOTFOUND', 'The host was not found.'],
  ['EAI_AGAIN', 'The DNS lookup of the host failed. Try again later.'],
  ['ECONNREFUSED', 'The connection was refused.'],
  ['ECONNRESET', 'The connection was reset.'],
]);

/** Names, addresses and certificates that do not work. */
const unreachableCodes =
  /^(?:ENOTFOUND|EAI_|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EBLOCKED|UND_ERR_CONNECT|CERT_|DEPTH_|SELF_SIGNED|UNABLE_TO|ERR_TLS)/;

function isUnreachable(caught: unknown): boolean {
  return unreachableCodes.test((caught as NodeJS.ErrnoException).code ?? '');
}

/** The error for an operator, without any content of the request. */
function explain(caught: unknown, timeoutMs: number): string {
  const error = caught as NodeJS.ErrnoException;
  if (
    error instanceof errors.BodyTimeoutError ||
    error instanceof errors.ConnectTimeoutError ||
    error instanceof errors.HeadersTimeoutError
  )
    return `No complete answer within ${timeoutMs} ms.`;
  if (error.name === 'AbortError') return 'The server stopped during the attempt.';
  if (error.code === blockedCode) return error.message;
  if (error instanceof errors.HeadersOverflowError) return 'The header section of the answer is too long.';
  const known = knownFailures.get(error.code ?? '');
  if (known !== undefined) return known;
  return error.code === undefined ? 'The connection failed.' : `The connection failed: ${error.code}.`;
}
