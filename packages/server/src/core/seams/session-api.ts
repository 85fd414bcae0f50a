import type { EverywireError, From, Start } from '@everywire/protocol';
import type { Message } from '../log/message.ts';
import type { Counted } from '../publish/throttle.ts';
import type { Identity } from '../sessions/access.ts';
import type { ChannelInfo, Fence, Page, RecordWrite } from './store.ts';
import type { Order, OrderOptions, SubscribeOptions, Subscription } from './subscription-api.ts';

export interface Hello {
  /** The transport's name, for logs and metrics. */
  readonly transport: string;
  readonly address?: string | undefined;
  /** What its rates are counted by, where one connection has a session for each request; absent: the session. */
  readonly counted?: Counted | undefined;
}

export interface RetainedMessages {
  /** Those that the session may read and that have not expired: there may be none although others follow. */
  readonly messages: readonly Message[];
  /** The page has everything up to here; `Infinity`: nothing follows. */
  readonly throughSeq: number;
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
  /** For several filters whose messages are delivered in one order: `SubscribeOptions.order`. */
  order(options: OrderOptions): Order;
  /** One page, for peers that poll. `from` absent: the newest `messagesMax`. Several filters are one run, each message once. */
  read(filters: string | readonly string[], from: From | undefined, messagesMax: number): Promise<ReadPage>;
  /**
   * A cursor for each filter, such that subscriptions of all of them begin as asked: `last` counts the messages of all filters
   * together.
   */
  locate(filters: readonly string[], since: Start): Promise<readonly string[]>;
  /** Whether the page of the newest is still the one that ended at `cursor`; false where that cannot be known. */
  isNewestUnchanged(filters: readonly string[], cursor: string, messagesMax: number): Promise<boolean>;
  /** Retained messages above `afterSeq`, in seq order: as many as go out at once. */
  retained(filter: string, afterSeq?: number): Promise<RetainedMessages>;
  channels(filter: string, after: string | undefined, limit: number): Promise<readonly ListedChannel[]>;
  drop(channel: string): Promise<boolean>;
  /** The peer takes bytes again: what `deliver` answered false to goes on. */
  drained(): void;
  /** A credit has room again: subscriptions that waited for it go on. */
  creditAvailable(): void;
  /**
   * The peer has gone. All subscriptions end. A position that must outlive the session is kept by a durable session, which
   * saves it before this is called.
   */
  end(): void;
}

export interface ReadPage extends Page {
  /**
   * It was cut short, by its number of messages or by its bytes: read on after `through`. A page of the newest ends with
   * the newest message, and then lacks older ones that its bytes left no room for.
   */
  readonly more: boolean;
  /** Messages in its range are left out because they have expired. */
  readonly hasExpired: boolean;
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
