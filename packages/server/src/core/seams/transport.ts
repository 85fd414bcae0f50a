import type { EverywireError, Position, From } from '@everywire/protocol';
import type { Credentials, Identity } from '../sessions/access.ts';
import type { Admission } from '../sessions/admission.ts';
import type { Batch } from '../log/batch.ts';
import type { Clock, Random } from '../clock.ts';
import type { DurableServices } from '../durable/services.ts';
import type { Limits } from '../limits.ts';
import type { Message } from '../log/message.ts';
import type { Log } from './log.ts';
import type { ChannelInfo, Fence, Gap, Health, Page, RecordStore, RecordWrite } from './store.ts';
import type { Counted } from '../publish/throttle.ts';

/** A way in and out of the hub; one folder each. */
export interface Transport<L extends Limits = Limits> {
  readonly name: string;
  /** Registers routes or listens. Throws an error for the operator when it cannot. */
  start(host: Host<L>): Promise<void>;
  /**
   * Stops accepting, tells every peer in its own protocol to come back elsewhere, and resolves when they are gone
   * or when `deadline` aborts, having cut the rest by then.
   */
  drain(deadline: AbortSignal): Promise<void>;
  /** Where it listens, once started: lines for the table that the server prints. */
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  readonly transport: string;
  readonly url: string;
  /** A command to try it with. */
  readonly tryIt: string;
}

/** All that a transport may touch; `L`: the limits it reads, its own among them. */
export interface Host<L extends Limits = Limits> {
  readonly hub: HubFront;
  /** Durable rows of protocols that have state of their own. A table belongs to one transport, whose name begins its own. */
  readonly records: RecordStore;
  /** Whom listeners ask about every connection; absent: all are welcome. */
  readonly admission?: Admission | undefined;
  readonly limits: L;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export type { Log };

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
  flushes: number;
  subscriptions: number;
  readonly subscriptionsByTransport: Map<string, number>;
  /** Open sessions by transport. */
  readonly sessions: Map<string, number>;
}

export interface Hello {
  /** The transport's name, for logs and metrics. */
  readonly transport: string;
  readonly address?: string | undefined;
  /** What its rates are counted by, where one connection has a session for each request; absent: the session. */
  readonly counted?: Counted | undefined;
}

/** The hub's half of an admitted party. Every method authorises and enforces limits; refusals are `EverywireError`. */
export interface Session {
  /** Another one after `refresh`. */
  readonly identity: Identity;
  /**
   * Takes a new token in place of the one that the session was opened with. Its claims replace the former ones as a whole:
   * subscriptions that they do not allow end with a notice, the others go on. The session stays its subject's.
   * @throws EverywireError `unauthorized`, or `forbidden` for the token of another subject; the former one holds on then
   */
  refresh(token: string): Promise<void>;
  /** Resolves once the store has the message as durably as its namespace asks. */
  publish(channel: string, draft: PublishDraft, options?: PublishOptions): Promise<Published>;
  /** Publishes in order; each entry gets its own result. With `atomic`, all or none. */
  publishAll(
    entries: readonly PublishEntry[],
    options?: PublishOptions & { readonly atomic?: boolean },
  ): Promise<readonly PublishResult[]>;
  /**
   * How long publishing would be refused for its rate; 0: it would not. For protocols in which a publisher cannot be told:
   * they read from it again then.
   */
  readonly publishWaitMs: number;
  /** Whether it might publish that now, without doing it: a will is judged when it is handed in. @throws EverywireError */
  checkPublish(channel: string, draft: PublishDraft): void;
  /**
   * Begins to follow `filter`, or joins the group `$share/<group>/<filter>`, which goes on where it stood: `from` is for
   * one that is new, `progress` and `echo` are for none. The sink hears nothing of it before `Subscription.start`; who
   * does not want it after all cancels it. "From now on" means from this call.
   */
  subscribe(filter: string, options: SubscribeOptions): Promise<Subscription>;
  /** One page, for peers that poll. `from` absent: the newest `messagesMax`. */
  read(filter: string, from: From | undefined, messagesMax: number): Promise<Page>;
  retained(filter: string, limit: number): Promise<readonly Message[]>;
  channels(filter: string, after: string | undefined, limit: number): Promise<readonly ListedChannel[]>;
  drop(channel: string): Promise<boolean>;
  /** The peer takes bytes again: what `deliver` answered false to goes on. */
  drained(): void;
  /** A quota has room again: subscriptions that waited for it go on. */
  roomAgain(): void;
  /** `left`: the peer said goodbye. `lost`: the connection broke; a durable position is kept. */
  end(how: 'left' | 'lost'): void;
}

export interface ListedChannel extends ChannelInfo {
  /** Subscriptions of this node that match. */
  readonly subscribers: number;
}

export interface PublishOptions {
  /**
   * Written in the same transaction as the messages: the state of a protocol that belongs to them. They are written
   * when every message is stored, or was before (`duplicate`); if one is refused, none is.
   */
  readonly records?: readonly RecordWrite[] | undefined;
  /** Leases that must still be held; otherwise nothing is published and nothing written, and `StaleWrite` is thrown. */
  readonly fences?: readonly Fence[] | undefined;
}

/** What several subscriptions of a session may have under way together. The transport counts; the hub asks. */
export interface Quota {
  /** How many more messages may be handed over now. Asked before each batch. */
  readonly room: number;
}

/** Where a subscription stands, for one that is to go on later, maybe in another process. */
export interface Progress {
  /** Everything up to here was acknowledged, or needs to be no more. */
  readonly cursor: string;
  /** Cursors of messages above it that were acknowledged one by one. Of meaning only with `acknowledge: 'peer'`. */
  readonly ackedAhead: readonly string[];
  /**
   * Messages up to here may have been delivered before. Who cannot say that this was stored after the last delivery,
   * because the process may have been killed, gives the highest seq that can have been: `HubFront.head` when it starts.
   */
  readonly deliveredThroughSeq: number;
}

export interface SubscribeOptions {
  /** Absent: from now on. */
  readonly from?: From | undefined;
  /** Goes on where an earlier subscription stood; takes the place of `from`. */
  readonly progress?: Progress | undefined;
  /** Shared with other subscriptions of the session; holds besides the window. */
  readonly quota?: Quota | undefined;
  /**
   * Of a group (`$share/<group>/<filter>`): its place is kept when its last member has left, whichever that is, so that
   * what comes meanwhile waits for the next one; until `HubFront.forgetGroup`. Default false: the group ends with its
   * last member, unless the server is the one that ends the sessions.
   */
  readonly keepGroup?: boolean | undefined;
  /** `peer`: what is delivered stays in the window until the peer acks it. Default `delivered`. */
  readonly acknowledge?: 'delivered' | 'peer' | undefined;
  /** Messages delivered and not yet acked, at most; more than the limits allow is as many as they do. Only with `acknowledge: 'peer'`. */
  readonly windowMessages?: number | undefined;
  /** End by itself after this many batches: 1 is a long poll. */
  readonly batches?: number | undefined;
  /** Largest batch; default as the limits say. */
  readonly batchMessagesMax?: number | undefined;
  /** False: messages published by this same session are not delivered to it. Default true. */
  readonly echo?: boolean | undefined;
  /** The transport's own handle, given back with each delivery. */
  readonly tag?: unknown;
}

/** A session following a filter: a cursor and a window, never a queue. */
export interface Subscription {
  readonly filter: string;
  /** The transport's own handle. */
  readonly tag: unknown;
  /** Where the subscription begins, as a cursor. */
  readonly startCursor: string;
  /** What is missing at the place where it begins; empty means exact. Later gaps are notices. */
  readonly startGaps: readonly Gap[];
  /**
   * From here on the sink is handed what there is: batches, gaps, the end. Call it once the peer has been answered and
   * what must survive a crash is saved. Of one that ended meanwhile the sink hears why, if its peer did not ask for that.
   */
  start(): void;
  /** The cursor of a peer that has taken everything delivered so far; the durable head while nothing is on its way. */
  readonly cursor: string;
  /** At the head, new messages are pushed. Otherwise it is reading the log, or held. */
  readonly isLive: boolean;
  /**
   * With `acknowledge: 'peer'`, or in a group: what is delivered up to here is a repetition, or may be one after a crash.
   * To be looked at in `deliver`, for the messages of that batch.
   */
  readonly redeliveredThroughSeq: number;
  /**
   * The peer has processed that message, and without `only` everything delivered before it. It may be called from within
   * `deliver`.
   */
  ack(seq: number, only?: boolean): void;
  /** What to hand to `SubscribeOptions.progress` later. Of a member of a group: the group keeps its own, this is empty. */
  readonly progress: Progress;
  /**
   * This message was not processed: it is delivered again, and it alone, in a group to whichever member has room, this
   * one last. Unknown: ignored.
   */
  release(seq: number): void;
  /** Everything unacknowledged is delivered again, from the oldest. */
  rewind(): void;
  /** Ends it, started or not. What a member of a group has not acknowledged goes to the others. */
  cancel(): void;
}

/**
 * The transport's half of a session: where deliveries go out.
 * Its methods are called from the fan-out loop: they MUST NOT throw, wait, or change the bytes, which a thousand other
 * sinks share.
 */
export interface Sink {
  /**
   * Hands over a batch; it counts as delivered. False: hold all subscriptions of this session until `drained()`.
   * What a sink keeps unsent must stay within one batch beyond `limits.outboundHeldFromBytes`.
   */
  deliver(batch: Batch, subscription: Subscription): boolean;
  notify(notice: Notice): void;
  /**
   * Ends the peer in its own terms. The session has ended: nothing more is delivered, and it refuses everything. Its
   * subscriptions are cancelled when this has returned; until then their places can be taken down, and acknowledged to.
   * Also called when its token has expired or was revoked, then with `unauthorized`.
   */
  close(reason: CloseReason): void;
}

/** News that is not a message. */
export type Notice =
  | { readonly kind: 'gap'; readonly subscription: Subscription; readonly gap: Gap }
  /** The subscription ended by itself: its batches are used up, or its right was withdrawn. */
  | { readonly kind: 'ended'; readonly subscription: Subscription; readonly error?: EverywireError }
  | { readonly kind: 'goaway'; readonly retryAfterMs: number };

export interface CloseReason {
  readonly error: EverywireError;
}

/** A message as a peer gives it, unchecked. */
export interface PublishDraft {
  readonly payload: Buffer;
  /** Default `application/octet-stream`. */
  readonly type?: string | undefined;
  readonly event?: string | undefined;
  readonly headers?: ReadonlyMap<string, string> | undefined;
  readonly key?: string | undefined;
  readonly retain?: boolean | undefined;
  readonly ttlMs?: number | undefined;
  /** What only the publisher's own protocol can say, as `Draft.native`. At most `limits.messageHeaderBytesMax` bytes. */
  readonly native?: Buffer | undefined;
}

export interface PublishEntry {
  readonly channel: string;
  readonly draft: PublishDraft;
}

export interface Published {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly seq: number;
  readonly id: string;
  readonly timeMs: number;
  readonly duplicate: boolean;
}

export type PublishResult = Published | EverywireError;
