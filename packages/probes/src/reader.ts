import type { Target } from './target.ts';

/** Where to begin. Absent both: from now on. */
export interface Start {
  readonly after?: string | undefined;
  readonly since?: string | undefined;
}

/** What a reader brings. Every kind but the first moves the place to resume from. */
export type Arrival =
  /** The server was reached. */
  | { readonly kind: 'open' }
  | { readonly kind: 'position'; readonly cursor: string }
  /** `text`: the envelope as one line of JSON. */
  | { readonly kind: 'message'; readonly cursor: string; readonly text: string }
  | { readonly kind: 'gap'; readonly cursor: string | undefined; readonly text: string };

/**
 * Follows a channel or filter over one connection. It returns when the server ends it in good order, and throws
 * `Unreachable`, `Cut` or `Refused`; either way the caller goes on from the last cursor.
 */
export type Reader = (target: Target, start: Start, signal: AbortSignal) => AsyncIterable<Arrival>;

/** The place to begin as a query. */
export function startQuery({ after, since }: Start): URLSearchParams {
  if (after !== undefined) return new URLSearchParams({ after });
  return new URLSearchParams(since === undefined ? {} : { since });
}
