import type { GivenToken } from './token.ts';

/** What a Socket.IO application says about the Everywire server that carries its broadcasts. */
export interface AdapterOptions {
  /** Base URL of the server: `http://127.0.0.1:8080`. */
  readonly url: string;
  /**
   * Bearer token, where the server asks for one. A function is asked for a new one at each connection, and before the one
   * in use ends: the connection stays then.
   */
  readonly token?: GivenToken | undefined;
  /** First levels of all channels of the application; those who share it are one cluster. Default `socket.io`. */
  readonly prefix?: string | undefined;
  /**
   * Send clients the event `everywire.cursor`, with the cursor as its only argument, when they connect and now and then,
   * so that they can recover although they have not received anything for a long time, or ever. Only with
   * `connectionStateRecovery`. Default true.
   */
  readonly sendCursors?: boolean | undefined;
  /** Told what an operator should know. Default: a line on standard error. */
  readonly onProblem?: ((problem: Problem) => void) | undefined;
  /** Between two signs of life of this process to the others of its cluster. Default 5 s. */
  readonly heartbeatEveryMs?: number | undefined;
  /** A process that was not heard for so long is taken for dead. Default 10 s. */
  readonly heartbeatTimeoutMs?: number | undefined;
}

/**
 * `gap`: messages between the last one read and the next valid place exist no more. `refused`: something was not
 * published, and will not be. `unavailable`: the server is not reached; what is to be published waits. `failed`: a message
 * could not be given to the sockets.
 */
export interface Problem {
  readonly kind: 'gap' | 'refused' | 'unavailable' | 'failed';
  /** One sentence for people. */
  readonly detail: string;
  readonly cause?: unknown;
}

/** The bounds of the adapter. It runs in other programs, so they do not belong to the server's limits. */
export const adapterLimits = {
  /** Publishes that wait for their answer, together: what an outage may cost of the application's memory. */
  pendingMax: 100_000,
  pendingBytesMax: 32 * 1024 * 1024,
  /** Before it is a new session, a recovery waits for the server; the client's own patience is 20 s. */
  restoreTimeoutMs: 15_000,
  /** Missed events of one session: beyond that, loading the state anew is cheaper for everybody. */
  missedPacketsMax: 10_000,
  /** Reads of the log under way for recoveries. */
  readsMax: 8,
  connectTimeoutMs: 10_000,
  /** The connection is taken for dead after twice this without a frame. */
  pingEveryMs: 10_000,
  backoffMsMin: 100,
  backoffMsMax: 3_000,
  /** Messages among processes mean nothing later. */
  clusterMessageTtlMs: 60_000,
  /** Nested JSON beyond this travels as bytes: the server's parser of commands has a bound of its own, 32. */
  jsonDepthMax: 24,
  cursorEveryMs: 60_000,
  sweepEveryMs: 600_000,
  /** How long closing waits for answers to what was published. */
  closeTimeoutMs: 5_000,
} as const;

export interface CheckedOptions {
  readonly url: string;
  readonly token: GivenToken | undefined;
  readonly prefix: string;
  readonly sendCursors: boolean;
  readonly onProblem: (problem: Problem) => void;
  readonly heartbeatEveryMs: number;
  readonly heartbeatTimeoutMs: number;
}

/** @throws TypeError when an option cannot be what it is. */
export function checkOptions(options: AdapterOptions): CheckedOptions {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new TypeError('url is the http: or https: URL of an Everywire server.');
  const prefix = options.prefix ?? 'socket.io';
  if (
    !/^[^\u0000-\u001f\u007f-\u009f+#*$/][^\u0000-\u001f\u007f-\u009f+#*]{0,62}$/.test(prefix) ||
    /\/$/.test(prefix)
  )
    throw new TypeError('prefix is 1 to 63 characters of a channel name: no control characters, no + # *.');
  return {
    url: url.href.replace(/\/+$/, ''),
    token: options.token,
    prefix,
    sendCursors: options.sendCursors ?? true,
    onProblem: options.onProblem ?? tellOnStandardError,
    heartbeatEveryMs: options.heartbeatEveryMs ?? 5_000,
    heartbeatTimeoutMs: options.heartbeatTimeoutMs ?? 10_000,
  };
}

function tellOnStandardError({ kind, detail }: Problem): void {
  console.warn(`everywire adapter: ${kind}: ${detail}`);
}
