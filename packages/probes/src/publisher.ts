import type { Target } from './target.ts';

/** What to publish, as the options of the command line have it. */
export interface Publication {
  readonly payload: Buffer;
  readonly type: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly event: string | undefined;
  /** Publish id. */
  readonly key: string | undefined;
  readonly retain: boolean;
  /** A length of time, checked. */
  readonly ttl: string | undefined;
}

/** Publishes one message and resolves with its receipt as a line of JSON. @throws Unreachable, Cut, Refused, CommandError */
export type Publisher = (target: Target, publication: Publication) => Promise<string>;

/** How long an answer may take. */
export const answerWithinMs = 30_000;

/** The receipt of `channel`; what the wire does not tell is left out. */
export function receiptLine(
  channel: string,
  told: {
    readonly offset?: unknown;
    readonly cursor?: unknown;
    readonly id?: unknown;
    readonly time?: unknown;
    readonly duplicate?: unknown;
  },
): string {
  const { offset, cursor, id, time, duplicate } = told;
  return JSON.stringify({ channel, offset, cursor, id, time, duplicate });
}
