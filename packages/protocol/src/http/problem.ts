import { type ErrorCode, type EverywireError, type Refusal } from '../errors.ts';
import { asRecord } from '../exact-json.ts';

export const problemMediaType = 'application/problem+json';

/** The body of an error answer (RFC 9457). */
export interface Problem {
  /** A reference to a page about this kind of problem, relative to the server (RFC 9457 §3.1.1). */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  /** The path of the request, without its query. */
  readonly instance?: string;
  readonly code: ErrorCode;
  readonly errors?: readonly { readonly detail: string; readonly pointer: string }[];
}

/** `instance` is absent if no request could be read. */
export function problemOf(error: EverywireError, instance: string | undefined): Problem {
  return {
    type: `/problems/${error.code}`,
    title: error.title,
    status: error.httpStatus,
    detail: error.message,
    ...(instance === undefined ? {} : { instance }),
    code: error.code,
    ...(error.pointers.length === 0
      ? {}
      : {
          // RFC 9457 §3 shows pointers as URI fragments (RFC 6901 §6).
          errors: error.pointers.map((pointer) => ({ detail: error.message, pointer: `#${pointer}` })),
        }),
  };
}

/**
 * Reads a problem from parsed JSON. Each member may be missing, because proxies send their own answers; `undefined` if
 * the value is not an object.
 */
export function readProblem(value: unknown): Refusal | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { code, detail, title, status } = members;
  const message = typeof detail === 'string' ? detail : title;
  return {
    code: typeof code === 'string' ? code : undefined,
    message: typeof message === 'string' ? message : undefined,
    httpStatus: typeof status === 'number' ? status : undefined,
  };
}
