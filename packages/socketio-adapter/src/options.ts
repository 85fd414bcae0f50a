import type { GivenToken } from './token.ts';

/** How a Socket.IO application uses the Everywire server that carries its broadcasts. */
export interface AdapterOptions {
  /** Base URL of the server: `http://127.0.0.1:8080`. */
  readonly url: string;
  /**
   * Bearer token, if the server requires one. A function is called for a new token at each connection, and before the
   * current token ends, so that the connection stays open.
   */
  readonly token?: GivenToken | undefined;
  /** First levels of all channels of the application. Processes with the same prefix are one cluster. Default `socket.io`. */
  readonly prefix?: string | undefined;
  /**
   * Send clients the event `everywire.cursor`, with the cursor as its only argument, when they connect and once a minute,
   * so that they can recover even if they have not received anything for a long time, or ever. Only with
   * `connectionStateRecovery`. Default true.
   */
  readonly sendCursors?: boolean | undefined;
  /** Called for each problem that an operator should know of. Default: prints a line on standard error. */
  readonly onProblem?: ((problem: Problem) => void) | undefined;
  /** Time between two heartbeats of this process to the others of its cluster. Default 5 s. */
  readonly heartbeatEveryMs?: number | undefined;
  /** A process without a heartbeat for this time counts as dead. Default 10 s. */
  readonly heartbeatTimeoutMs?: number | undefined;
}

/**
 * - `gap`: messages were deleted from the log before the adapter read them.
 * - `refused`: the server refused a publish for good.
 * - `unavailable`: the server cannot be reached. Publishes wait until it can.
 * - `failed`: a message could not be delivered to the sockets, or a session could not be recovered.
 */
export interface Problem {
  readonly kind: 'gap' | 'refused' | 'unavailable' | 'failed';
  /** One sentence for people. */
  readonly detail: string;
  readonly cause?: unknown;
}

/** The limits of the adapter. It runs in other programs, so these are not limits of the server. */
export const adapterLimits = {
  /** Publishes that wait for their answer: bounds the memory that the application needs during an outage. */
  pendingMax: 100_000,
  pendingBytesMax: 32 * 1024 * 1024,
  /** How long a recovery waits for the server before a new session begins. The client gives up after 20 s. */
  restoreTimeoutMs: 15_000,
  /** Missed events of one session. Beyond that, it is cheaper for the client to load its state again. */
  missedPacketsMax: 10_000,
  /** Concurrent reads of the log for recoveries. */
  readsMax: 8,
  connectTimeoutMs: 10_000,
  /** The connection counts as dead after twice this time without a frame. */
  pingEveryMs: 10_000,
  backoffMsMin: 100,
  backoffMsMax: 3_000,
  /** Messages among processes are useless later. */
  clusterMessageTtlMs: 60_000,
  /** JSON that is nested deeper is sent as bytes: the server's parser of commands allows 32 levels. */
  jsonDepthMax: 24,
  cursorEveryMs: 60_000,
  sweepEveryMs: 600_000,
  /** How long closing waits for the answers to publishes. */
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

/** @throws TypeError for an invalid option */
export function checkOptions(options: AdapterOptions): CheckedOptions {
  const url = URL.canParse(options.url) ? new URL(options.url) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new TypeError('`url` must be the http: or https: URL of an Everywire server.');
  const prefix = options.prefix ?? 'socket.io';
  if (
    !/^[^\u0000-\u001f\u007f-\u009f+#*$/][^\u0000-\u001f\u007f-\u009f+#*]{0,62}$/.test(prefix) ||
    /\/$/.test(prefix)
  )
    throw new TypeError(
      '`prefix` must be 1 to 63 characters of a channel name: no control characters, none of + # *.',
    );
  return {
    url: url.href.replace(/\/+$/, ''),
    token: options.token,
    prefix,
    sendCursors: options.sendCursors ?? true,
    onProblem: options.onProblem ?? warnOnStandardError,
    heartbeatEveryMs: options.heartbeatEveryMs ?? 5_000,
    heartbeatTimeoutMs: options.heartbeatTimeoutMs ?? 10_000,
  };
}

function warnOnStandardError({ kind, detail }: Problem): void {
  console.warn(`everywire adapter: ${kind}: ${detail}`);
}
