/**
 * All errors of Everywire. Every wire derives its view of an error (HTTP status, WebSocket close code, MQTT reason
 * code, gRPC status) from this table, so that no transport can differ.
 */

/** Whether and when a peer may repeat the same request. */
export type ComeBack =
  'never' | 'without-cursor' | 'with-new-token' | 'at-once' | 'by-cursor' | 'elsewhere' | 'later';

export interface ErrorRow {
  /** One sentence for people; problem `title`, STOMP ERROR body, close and MQTT reason. */
  readonly title: string;
  readonly http: number;
  /** WebSocket close code. 4000–4049: reconnect with the cursor. 4050–4099: do not repeat unchanged. */
  readonly close: number;
  /** MQTT 5 reason code for a DISCONNECT or an acknowledgement; exceptions live in the MQTT transport. */
  readonly mqtt: number;
  /** gRPC status code. */
  readonly grpc: number;
  readonly comeBack: ComeBack;
}

export const errorTable = {
  malformed: {
    title: 'The data violates the protocol.',
    http: 400,
    close: 1002,
    mqtt: 0x81,
    grpc: 3,
    comeBack: 'never',
  },
  bad_name: {
    title: 'Invalid channel name or filter.',
    http: 400,
    close: 4050,
    mqtt: 0x90,
    grpc: 3,
    comeBack: 'never',
  },
  bad_cursor: {
    title: 'Invalid cursor.',
    http: 400,
    close: 4051,
    mqtt: 0x83,
    grpc: 3,
    comeBack: 'without-cursor',
  },
  invalid: {
    title: 'A field has an invalid value.',
    http: 422,
    close: 4052,
    mqtt: 0x82,
    grpc: 3,
    comeBack: 'never',
  },
  unsupported: {
    title: 'Unsupported version, media type or method.',
    http: 415,
    close: 1003,
    mqtt: 0x83,
    grpc: 12,
    comeBack: 'never',
  },
  unauthorized: {
    title: 'The token is missing, invalid or expired.',
    http: 401,
    close: 1008,
    mqtt: 0x87,
    grpc: 16,
    comeBack: 'with-new-token',
  },
  forbidden: {
    title: 'The token does not allow this operation.',
    http: 403,
    close: 1008,
    mqtt: 0x87,
    grpc: 7,
    comeBack: 'never',
  },
  not_found: {
    title: 'Not found.',
    http: 404,
    close: 4053,
    mqtt: 0x83,
    grpc: 5,
    comeBack: 'never',
  },
  conflict: {
    title: 'The request conflicts with existing data.',
    http: 409,
    close: 4054,
    mqtt: 0x83,
    grpc: 6,
    comeBack: 'never',
  },
  session_taken: {
    title: 'Another connection took over the session.',
    http: 409,
    close: 4055,
    mqtt: 0x8e,
    grpc: 10,
    comeBack: 'never',
  },
  quota_exceeded: {
    title: 'Quota exceeded.',
    http: 403,
    close: 4056,
    mqtt: 0x97,
    grpc: 8,
    comeBack: 'never',
  },
  too_large: {
    title: 'The message exceeds the size limit.',
    http: 413,
    close: 1009,
    mqtt: 0x95,
    grpc: 8,
    comeBack: 'never',
  },
  rate_limited: {
    title: 'Rate limit exceeded.',
    http: 429,
    close: 1013,
    mqtt: 0x96,
    grpc: 8,
    comeBack: 'later',
  },
  timed_out: {
    title: 'The peer timed out.',
    http: 408,
    close: 4000,
    mqtt: 0x8d,
    grpc: 4,
    comeBack: 'at-once',
  },
  slow_peer: {
    title: 'The peer reads too slowly.',
    http: 503,
    close: 4001,
    mqtt: 0x97,
    grpc: 8,
    comeBack: 'by-cursor',
  },
  going_away: {
    title: 'The server is shutting down.',
    http: 503,
    close: 1001,
    mqtt: 0x8b,
    grpc: 14,
    comeBack: 'elsewhere',
  },
  store_full: {
    title: 'The store is full.',
    http: 507,
    close: 1013,
    mqtt: 0x97,
    grpc: 8,
    comeBack: 'later',
  },
  store_unavailable: {
    title: 'The store is unavailable.',
    http: 503,
    close: 1013,
    mqtt: 0x89,
    grpc: 14,
    comeBack: 'later',
  },
  internal: {
    title: 'Internal server error.',
    http: 500,
    close: 1011,
    mqtt: 0x80,
    grpc: 13,
    comeBack: 'later',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorTable, text);
}

export interface EverywireErrorOptions {
  readonly cause?: unknown;
  /** The wait before a new attempt makes sense. */
  readonly retryAfterMs?: number;
  /** Overrides the row's HTTP status where one code has several (405 and 406 are `unsupported`). */
  readonly httpStatus?: number;
  /** JSON pointers to the invalid fields (RFC 6901). */
  readonly pointers?: readonly string[];
  /** Overrides the row's title where one code has several causes (a token and an origin are `forbidden`). */
  readonly title?: string;
}

/** A refusal. `message` is one sentence for people: the fault and the allowed values; never a token or a payload. */
export class EverywireError extends Error {
  override readonly name = 'EverywireError';
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;
  readonly pointers: readonly string[];
  readonly #httpStatus: number | undefined;
  readonly #title: string | undefined;

  constructor(code: ErrorCode, detail: string, options: EverywireErrorOptions = {}) {
    super(detail, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.pointers = options.pointers ?? [];
    this.#httpStatus = options.httpStatus;
    this.#title = options.title;
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }

  get title(): string {
    return this.#title ?? this.row.title;
  }

  get httpStatus(): number {
    return this.#httpStatus ?? this.row.http;
  }
}

/** The error for the peer: a refusal unchanged, and for anything else `internal`, which reveals nothing of the server. */
export function toEverywireError(caught: unknown): EverywireError {
  return caught instanceof EverywireError
    ? caught
    : new EverywireError('internal', 'The server failed to handle this; the cause is in its log.', {
        cause: caught,
      });
}

/** A refusal in the form of a client. The code may be unknown, from a newer server, or missing, from a proxy. */
export interface Refusal {
  readonly code: string | undefined;
  readonly message: string | undefined;
  readonly httpStatus?: number | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** A refusal as one line of text, for protocols without a field for the code: close reasons, MQTT reason strings. */
export function reasonOf(error: EverywireError): string {
  return `${error.code}: ${error.message}`;
}

/** Reads the text that `reasonOf` writes. Any other text is a message without a code. */
export function readReason(text: string): Refusal {
  const match = /^([a-z_]+): (.*)$/s.exec(text);
  const code = match?.[1];
  if (code === undefined || !isErrorCode(code)) return { code: undefined, message: text };
  return { code, message: match![2] };
}
