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
  /** Whether an identity that was kept (with a will, a webhook, a session) still holds. @throws EverywireError `unauthorized` */
  checkCurrent(identity: Identity): void;
  /**
   * A connection by which a party comes that has shown who it is on another one.
   * @throws EverywireError `quota_exceeded`: it has as many as it may
   */
  recognize(connection: string, identity: Identity): void;
  /** @throws EverywireError `forbidden`, for what only an administrator may do; `action` completes "may not …" */
  authorizeAdmin(identity: Identity, action: string): void;
  /** Admits a party. Everything it does goes through the session; `sink` is where deliveries for it go out. */
  open(identity: Identity, hello: Hello, sink: Sink): Session;
  /**
   * The place of the group `$share/<group>/<filter>` is kept no longer: it ends with its last member, at once when it has
   * none. @throws EverywireError `bad_name`
   */
  forgetGroup(name: string): void;
  /** For sessions that outlive their connections: `DurableSessions` is made with this. */
  readonly durable: DurableServices;
  /** The durable head: the cursor of somebody who has read everything. */
  readonly head: Position;
  readonly figures: Readonly<Figures>;
  readonly isDraining: boolean;
  health(): Health;
}

/** Counters since the start, and what is held now. */
export interface Figures {
  published: number;
  refused: number;
  /** Publishing and other operations that were refused because they came too fast. */
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
