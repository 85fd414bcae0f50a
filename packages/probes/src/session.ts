import type { Sockets } from './sockets.ts';
import type { Target } from './target.ts';

/** The start of a subscription. Without both: from now on. */
export interface Start {
  readonly after?: string | undefined;
  readonly since?: string | undefined;
}

export interface FollowOptions extends Start {
  /** `manual`: `Probe.ack` acknowledges each message. Only MQTT and STOMP acknowledge messages. Default `auto`. */
  readonly acks?: 'auto' | 'manual' | undefined;
}

export interface MessageArrival {
  readonly kind: 'message';
  readonly cursor: string;
  /** The envelope as one line of JSON. */
  readonly text: string;
  /** Acknowledges it on its connection, if `acks` is `manual`. */
  readonly ack?: (() => void) | undefined;
}

/** An event of a subscription. Every kind but the first moves the cursor to resume from. */
export type Arrival =
  /** The subscription was accepted. */
  | { readonly kind: 'open' }
  | { readonly kind: 'position'; readonly cursor: string }
  | MessageArrival
  | { readonly kind: 'gap'; readonly cursor: string | undefined; readonly text: string };

/** What to publish. */
export interface Publication {
  readonly payload: Buffer;
  readonly type: string;
  readonly headers?: ReadonlyMap<string, string> | undefined;
  readonly event?: string | undefined;
  /** Publish id. */
  readonly key?: string | undefined;
  readonly retain?: boolean | undefined;
  /** A length of time, such as `60s`. */
  readonly ttl?: string | undefined;
}

/** One connection of a protocol; with HTTP, as many connections as needed. */
export interface Session {
  /** It accepts no more calls. */
  readonly isEnded: boolean;
  /** Resolves with the receipt as a line of JSON, once the message is stored. @throws Cut, Refused, Unsendable */
  publish(channel: string, publication: Publication): Promise<string>;
  /**
   * Follows a channel or a filter from the first `next`. It returns when the server ends it in good order.
   * @throws Cut, Refused, Unsendable
   */
  follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined>;
  /** Closes the connection, with the goodbye of the protocol if it has one. */
  close(): void;
}

/** Connects, logs in, and resolves once the server has accepted. @throws Unreachable, Cut, Refused */
export type OpenSession = (target: Target, sockets: Sockets) => Promise<Session>;

/** How long an answer may take. */
export const answerWithinMs = 30_000;

/** The receipt as a line of JSON, without the fields that this wire does not have. */
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
