import type { Position } from '@everywire/protocol';
import type { DurableServices } from '../durable/services.ts';
import type { Credentials, Identity } from '../sessions/access.ts';
import type { Hello, Session } from './session-api.ts';
import type { Sink } from './sink.ts';
import type { Health } from './store.ts';

/** What the hub offers to transports. */
export interface HubFront {
  /** @throws EverywireError `unauthorized` */
  authenticate(credentials: Credentials): Promise<Identity>;
  /** Whether a stored identity (of a will, a webhook, a session) is still valid. @throws EverywireError `unauthorized` */
  checkCurrent(identity: Identity): void;
  /**
   * The connection belongs to a client that has authenticated on another one.
   * @throws EverywireError `quota_exceeded`: the subject has as many connections as it may have
   */
  recognize(connection: string, identity: Identity): void;
  /** @throws EverywireError `forbidden`, for what only an administrator may do; `action` completes "may not …" */
  authorizeAdmin(identity: Identity, action: string): void;
  /** Admits a client. All its operations go through the session, and its deliveries through `sink`. */
  open(identity: Identity, hello: Hello, sink: Sink): Session;
  /**
   * Stops keeping the place of the group `$share/<group>/<filter>`: the group ends with its last member, or at once if
   * it has no member. @throws EverywireError `bad_name`
   */
  forgetGroup(name: string): void;
  /** The services for sessions that outlive their connections, given to `DurableSessions`. */
  readonly durable: DurableServices;
  /** The durable head: the cursor of a reader that has read everything. */
  readonly head: Position;
  readonly figures: Readonly<Figures>;
  readonly isDraining: boolean;
  health(): Health;
}

/** Counters since the start, and current totals. */
export interface Figures {
  published: number;
  refused: number;
  /** Publishes and other operations that exceeded a rate limit. */
  rateLimited: number;
  delivered: number;
  /** Turns of the event loop in which something was delivered. */
  deliveryTurns: number;
  subscriptions: number;
  readonly subscriptionsByTransport: Map<string, number>;
  /** Open sessions by transport. */
  readonly sessions: Map<string, number>;
  /** By transport. */
  readonly traffic: Map<string, Traffic>;
  /** Refused messages by the code of the error. */
  readonly refusedByCode: Map<string, number>;
  /** Gaps that readers got notice of, by reason. */
  readonly gaps: Map<string, number>;
  /** From a publish to its durable place, one for each append. */
  readonly publishing: Durations;
  /** From the first message of a turn to the end of its deliveries, one for each turn. */
  readonly delivering: Durations;
}

/** What went through one transport. Bytes are those of payloads. */
export interface Traffic {
  published: number;
  publishedBytes: number;
  delivered: number;
  deliveredBytes: number;
}

/** A histogram. */
export interface Durations {
  readonly boundsMs: readonly number[];
  /** By bucket; the last one is for everything above the last bound. */
  readonly counts: ArrayLike<number>;
  readonly sumMs: number;
  observe(durationMs: number): void;
}
