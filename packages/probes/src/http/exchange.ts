import type { IncomingMessage } from 'node:http';
import type { Arrival, Start } from '../session.ts';
import type { Request } from './request.ts';

/** A way to follow by HTTP: yields the messages of one or more requests. */
export type HttpReader = (
  exchange: Exchange,
  channel: string,
  start: Start,
) => AsyncGenerator<Arrival, void, undefined>;

/** Sends requests for a reader. */
export interface Exchange {
  send(request: Request): Promise<IncomingMessage>;
  /** Aborted when the session is closed. */
  readonly signal: AbortSignal;
}

/** The query parameters for a start. */
export function startQuery({ after, since }: Start): URLSearchParams {
  if (after !== undefined) return new URLSearchParams({ after });
  return new URLSearchParams(since === undefined ? {} : { since });
}
