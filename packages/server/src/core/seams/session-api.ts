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
  /**
   * The counters of its rates, where one connection has a session for each request. Absent: the session has its own
   * counters.
   */
  readonly counted?: Counted | undefined;
}

export interface RetainedMessages {
  /** Messages that the session may read and that have not expired. May be empty although other messages follow. */
  readonly messages: readonly Message[];
  /** The page has everything up to here; `Infinity`: nothing follows. */
  readonly throughSeq: number;
}

/** The hub's half of an admitted client. Every method authorises and enforces limits; refusals are `EverywireError`. */
export interface Session {
  /** `refresh` replaces it. */
  readonly identity: Identity;
  /**
   * Replaces the token with which the session was opened, and with it all claims. Subscriptions that the new claims do
   * not allow end with a notice, the others continue. The subject must stay the same.
   * @throws EverywireError `unauthorized`, or `forbidden` for the token of another subject; then the session keeps its
   * former token
   */
  refresh(token: string): Promise<void>;
  /** Resolves once the message is durable in the store. */
  publish(channel: string, draft: PublishDraft, options?: PublishOptions): Promise<Published>;
  /** Publishes in order; each entry gets its own result. With `atomic`, all or none. */
  publishAll(
    entries: readonly PublishEntry[],
    options?: PublishOptions & { readonly atomic?: boolean },
  ): Promise<readonly PublishResult[]>;
  /**
   * How long the rate limit would refuse a publish; 0: not at all. Protocols that cannot report a refusal stop reading
   * from their client for so long.
   */
  readonly publishWaitMs: number;
  /** Checks a publish without doing it: MQTT judges a will at CONNECT. @throws EverywireError */
  checkPublish(channel: string, draft: PublishDraft): void;
  /**
   * Follows `filter`, or joins the group `$share/<group>/<filter>`. A group continues at its place: `from` counts only
   * for a new group, `progress` and `echo` are not for groups. The sink receives nothing before `Subscription.start`; a
   * subscription that is not wanted any more must be cancelled. "From now on" means from this call.
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
  /** The peer takes bytes again: subscriptions continue whose `deliver` returned false. */
  drained(): void;
  /** A credit has room again: subscriptions that waited for it continue. */
  creditAvailable(): void;
  /**
   * The peer has gone. All subscriptions end. A position that must outlive the session is kept by a durable session, which
   * saves it before this is called.
   */
  end(): void;
}

export interface ReadPage extends Page {
  /**
   * The limit of messages or bytes cut the page: read on after `through`. A page of the newest messages ends with the
   * newest one, and then lacks older ones that did not fit.
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
   * Written in the same transaction as the messages: protocol state that belongs to them. The store writes the records
   * when every message is stored, now or before (`duplicate`). If one message is refused, no record is written.
   */
  readonly records?: readonly RecordWrite[] | undefined;
  /** Leases that must still be held. Otherwise nothing is published or written, and `StaleWrite` is thrown. */
  readonly fences?: readonly Fence[] | undefined;
}

/** A message as a peer gives it, unchecked. */
export interface PublishDraft {
  readonly payload: Buffer;
  /** Absent: the type is detected, unless the namespace of the channel turns that off. */
  readonly type?: string | undefined;
  /** Without `type`: the type of what is no JSON; also where nothing is detected. Default: text or bytes; bytes. */
  readonly untoldType?: string | undefined;
  readonly event?: string | undefined;
  readonly headers?: ReadonlyMap<string, string> | undefined;
  readonly key?: string | undefined;
  readonly retain?: boolean | undefined;
  /** For protocols that cannot tell their client: no room for `retain` is no reason to refuse the message. */
  readonly retainIfRoom?: boolean | undefined;
  readonly ttlMs?: number | undefined;
  /**
   * Properties that only the publisher's protocol has, as `Draft.native`. At most `limits.messageHeaderBytesMax` bytes.
   */
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
