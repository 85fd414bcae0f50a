import {
  checkChannel,
  EverywireError,
  formatCursor,
  parseFilter,
  toEverywireError,
  type Filter,
  type From,
  type Start,
} from '@everywire/protocol';
import type { Clock } from '../clock.ts';
import type { Dispatcher } from '../fanout/dispatcher.ts';
import { findStart } from '../fanout/find-start.ts';
import { mayBeTold } from '../fanout/readable-gap.ts';
import { FilterOrder, OrderedFilter } from '../fanout/ordered.ts';
import { LogSubscription, type SubscriptionHost } from '../fanout/subscription.ts';
import type { Groups } from '../groups/groups.ts';
import { GroupMember } from '../groups/member.ts';
import { isGroupName, parseGroupName } from '../groups/name.ts';
import type { Limits } from '../limits.ts';
import type { Batch } from '../log/batch.ts';
import type { Author, Publisher } from '../publish/publisher.ts';
import type { Counted, Throttle } from '../publish/throttle.ts';
import { trafficOf } from '../figures.ts';
import { logRefusal } from '../refusal.ts';
import type { Figures, Traffic } from '../seams/hub-api.ts';
import type { Log } from '../seams/log.ts';
import type {
  Hello,
  ListedChannel,
  Published,
  PublishDraft,
  PublishOptions,
  PublishEntry,
  PublishResult,
  ReadPage,
  Session,
  RetainedMessages,
} from '../seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../seams/sink.ts';
import type { Gap, Store } from '../seams/store.ts';
import type { Order, OrderOptions, SubscribeOptions, Subscription } from '../seams/subscription-api.ts';
import type { Access, Credentials, Identity } from './access.ts';
import type { Queries } from './queries.ts';
import {
  checkCursor,
  checkGroupOptions,
  memberOptionsOf,
  placeOf,
  restrictionsOf,
  startOf,
} from './subscribe-options.ts';

/** What all sessions share. */
export interface SessionParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly log: Log;
  readonly access: Access;
  readonly publisher: Publisher;
  readonly throttle: Throttle;
  readonly dispatcher: Dispatcher;
  readonly groups: Groups;
  readonly queries: Queries;
  readonly figures: Figures;
  authenticate(credentials: Credentials): Promise<Identity>;
  /** `refresh` has replaced the identity of the session. */
  refreshed(session: HubSession): void;
  ended(session: HubSession): void;
}

/** The number of messages that a session remembers as published by itself, to leave them out where echo is off. */
const ownMessagesMax = 10_000;

const noOrders: readonly FilterOrder[] = [];

/** Any subscription of a session. */
type OwnSubscription = LogSubscription | GroupMember;

/** The hub's half of one admitted party: it checks each operation, and owns the party's subscriptions. */
export class HubSession implements Session, SubscriptionHost, Author {
  readonly hello: Hello;
  readonly #sink: Sink;
  #isHeld = false;
  #identity: Identity;
  readonly #parts: SessionParts;
  /** Replaced by `concat`: most sessions have one, and an array that grows, or is spread, reserves 16 places more. */
  #subscriptions: readonly OwnSubscription[] = [];
  #orders: readonly FilterOrder[] = noOrders;
  #ownMessages: Set<string> | undefined;
  #ownCounted: Counted | undefined;
  /** Why it has ended, once it has: `left`, or the refusal that ended it. */
  #ended: 'left' | EverywireError | undefined;
  #isExpelled = false;
  #creditTurn = 0;
  /** The counters of its transport. */
  readonly traffic: Traffic;

  constructor(
    parts: SessionParts,
    { identity, hello, sink }: { readonly identity: Identity; readonly hello: Hello; readonly sink: Sink },
  ) {
    this.#parts = parts;
    this.#identity = identity;
    this.hello = hello;
    this.#sink = sink;
    this.traffic = trafficOf(parts.figures, hello.transport);
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** The counters of its rates. */
  get counted(): Counted {
    return (this.#ownCounted ??= this.hello.counted ?? {});
  }

  async refresh(token: string): Promise<void> {
    this.#checkOpen();
    // A signature costs more than most of what a peer can ask for.
    this.#parts.throttle.operation(this.#identity, this.counted);
    const identity = await this.#parts.authenticate({ token, address: this.hello.address });
    this.#checkOpen();
    if (identity.subject !== this.#identity.subject) {
      throw new EverywireError('forbidden', 'The new token must have the same subject as the connection.');
    }
    this.#identity = identity;
    this.#parts.refreshed(this);
    for (const subscription of this.#subscriptions) this.#judgeAnew(subscription);
  }

  expel(error: EverywireError): void {
    if (this.#ended !== undefined) return;
    this.#isExpelled = true;
    this.#close(error);
    try {
      this.#sink.close({ error });
    } finally {
      this.#cancelAll();
    }
  }

  /** The server drains. The session continues until its transport has sent all answers, and ends it. */
  goAway(retryAfterMs: number): void {
    if (this.#ended === undefined) this.#sink.notify({ kind: 'goaway', retryAfterMs });
  }

  /** Not `async`: a refusal known at once rejects one microtask later, before STOMP runs the frame behind. */
  publish(channel: string, draft: PublishDraft, options?: PublishOptions): Promise<Published> {
    try {
      this.#checkGrant();
    } catch (refusal) {
      return Promise.reject(toEverywireError(refusal));
    }
    return this.#parts.publisher.publish(this, { channel, draft }, options);
  }

  async publishAll(
    entries: readonly PublishEntry[],
    options?: PublishOptions & { readonly atomic?: boolean },
  ): Promise<readonly PublishResult[]> {
    this.#checkGrant();
    return this.#parts.publisher.publishAll(this, entries, options);
  }

  get publishWaitMs(): number {
    return this.#parts.publisher.waitMs(this);
  }

  checkPublish(channel: string, draft: PublishDraft): void {
    this.#checkGrant();
    this.#parts.publisher.check(this.#identity, channel, draft);
  }

  noteOwn(id: string): void {
    const own = this.#ownMessages;
    if (own === undefined) return;
    own.add(id);
    if (own.size > ownMessagesMax) own.delete(own.values().next().value!);
  }

  async subscribe(text: string, options: SubscribeOptions): Promise<OwnSubscription> {
    if (isGroupName(text)) return this.#join(text, options);
    const { access, limits, dispatcher } = this.#parts;
    const filter = this.#checkFilter(text);
    this.#checkCount();
    const at = startOf(options);
    const ordered = options.order === undefined ? undefined : this.#orderOf(options.order).add();
    const fanout = dispatcher.fanoutOf(filter);
    fanout.hold();
    if (options.echo === false) this.#ownMessages ??= new Set();
    const parts = { host: ordered ?? this, fanout, reader: dispatcher.catchUp };
    const credit = ordered ?? options.credit;
    const subscription = new LogSubscription(parts, dispatcher.head, {
      filter: text,
      tag: options.tag,
      restrictions: restrictionsOf(
        { ...options, credit },
        access.deliverable(this.#identity, filter),
        limits,
      ),
    });
    if (ordered !== undefined) ordered.subscription = subscription;
    this.#add(subscription);
    const found = findStart(dispatcher, { subscription, isReady: fanout.ready }, at);
    await this.#whenReady(subscription, found);
    this.#countGaps(subscription.startGaps);
    return subscription;
  }

  order(options: OrderOptions): Order {
    const order = new FilterOrder(this, this.#parts.dispatcher, options);
    this.#orders = this.#orders.concat(order);
    return order;
  }

  async read(
    texts: string | readonly string[],
    from: From | undefined,
    messagesMax: number,
  ): Promise<ReadPage> {
    const filters = (typeof texts === 'string' ? [texts] : texts).map((text) => this.#checkFilter(text));
    const place = from !== undefined && 'after' in from ? { cursor: checkCursor(from.after) } : from;
    const page = await this.#parts.queries.read(this.#identity, filters, place, messagesMax);
    this.#countGaps(page.gaps);
    return page;
  }

  async locate(texts: readonly string[], since: Start): Promise<readonly string[]> {
    // The subscriptions that follow are counted.
    const filters = texts.map((text) => this.#authorize(this.#parseFilter(text)));
    return (await this.#parts.queries.locate(filters, since)).map(formatCursor);
  }

  async isNewestUnchanged(texts: readonly string[], cursor: string, messagesMax: number): Promise<boolean> {
    const filters = texts.map((text) => this.#checkFilter(text));
    return this.#parts.queries.isNewestUnchanged(this.#identity, filters, checkCursor(cursor), messagesMax);
  }

  async retained(text: string, afterSeq = 0): Promise<RetainedMessages> {
    // It comes with a subscription, which was counted already.
    const filter = this.#authorize(this.#parseFilter(text));
    return this.#parts.queries.retained(this.#identity, filter, afterSeq);
  }

  async channels(text: string, after: string | undefined, limit: number): Promise<readonly ListedChannel[]> {
    const filter = this.#checkFilter(text);
    return this.#parts.queries.channels(this.#identity, filter, after, limit);
  }

  async drop(channel: string): Promise<boolean> {
    this.#checkOpen();
    const { limits, access, store } = this.#parts;
    checkChannel(channel, limits);
    access.authorizeAdmin(this.#identity, 'delete a channel');
    return store.drop(channel);
  }

  drained(): void {
    if (this.#ended !== undefined) return;
    this.#isHeld = false;
    for (const order of this.#orders) order.settle();
    // A method, since the compiler cannot see that an order delivers.
    if (this.#cannotDeliver()) return;
    for (const subscription of this.#subscriptions) {
      if (subscription.stage === 'held') subscription.resume();
    }
  }

  creditAvailable(): void {
    const waiting = this.#subscriptions.filter(({ stage }) => stage === 'full');
    if (waiting.length === 0) return;
    // Another goes first each time: where credit comes by single messages, the first one takes it all.
    this.#creditTurn = (this.#creditTurn + 1) % waiting.length;
    for (let at = 0; at < waiting.length; at += 1)
      waiting[(at + this.#creditTurn) % waiting.length]!.resume();
  }

  end(): void {
    if (this.#ended !== undefined) return;
    this.#close('left');
    this.#cancelAll();
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    const count = batch.messages.length;
    this.#parts.figures.delivered += count;
    this.traffic.delivered += count;
    this.traffic.deliveredBytes += batch.payloadBytes;
    if (this.#sink.deliver(batch, subscription)) return true;
    this.#isHeld = true;
    return false;
  }

  notify(notice: Notice): void {
    if (notice.kind === 'gap') this.#countGaps([notice.gap]);
    this.#sink.notify(notice);
  }

  close(reason: CloseReason): void {
    this.#sink.close(reason);
  }

  isOwnMessage(id: string): boolean {
    return this.#ownMessages?.has(id) ?? false;
  }

  remove(subscription: Subscription): void {
    this.#subscriptions = this.#subscriptions.filter((other) => other !== subscription);
    this.#count(-1);
  }

  #cannotDeliver(): boolean {
    return this.#isHeld;
  }

  #close(why: 'left' | EverywireError): void {
    this.#ended = why;
    // Messages that one member of a group gives back must not go to another member of this session.
    this.#isHeld = true;
  }

  #cancelAll(): void {
    for (const subscription of this.#subscriptions) subscription.cancel();
    this.#parts.ended(this);
  }

  /** @throws a fault in a transport: it is of another session */
  #orderOf(given: Order): FilterOrder {
    const order = this.#orders.find((own) => own === given);
    if (order === undefined) throw new Error('an order belongs to the session that made it');
    return order;
  }

  #checkFilter(text: string): Filter {
    const filter = this.#parseFilter(text);
    this.#countOperation();
    return this.#authorize(filter);
  }

  #parseFilter(text: string): Filter {
    if (isGroupName(text))
      throw new EverywireError('bad_name', 'A group can only be read with a subscription.');
    return parseFilter(text, this.#parts.limits);
  }

  #countOperation(): void {
    this.#checkOpen();
    this.#parts.throttle.operation(this.#identity, this.counted);
  }

  #authorize(filter: Filter): Filter {
    this.#checkOpen();
    try {
      this.#parts.access.authorizeSubscribe(this.#identity, filter);
    } catch (refusal) {
      logRefusal(this.#parts.log, this.#identity, { subscribe: filter.text }, refusal);
      throw refusal;
    }
    return filter;
  }

  /**
   * An expired token is refused, also in the second before its sessions are ended. So is one that was revoked after the
   * handshake and before the session started, while a body was still arriving.
   */
  #checkOpen(): void {
    if (this.#ended !== undefined) throw endOf(this.#ended);
    this.#checkGrant();
  }

  /** Publishes before a goodbye are stored also after it; those of an expelled peer are not. */
  #checkGrant(): void {
    if (this.#isExpelled) throw endOf(this.#ended!);
    if (this.#identity.claims !== undefined) this.#parts.access.checkCurrent(this.#identity);
  }

  /** After the claims were replaced. */
  #judgeAnew(subscription: OwnSubscription): void {
    const { access } = this.#parts;
    const { filter } = subscription.fanout;
    try {
      access.authorizeSubscribe(this.#identity, filter);
      subscription.mayDeliver = access.deliverable(this.#identity, filter);
      if (subscription.host instanceof OrderedFilter) subscription.host.judgeWaiting();
    } catch (refusal) {
      subscription.withdraw(toEverywireError(refusal));
    }
  }

  #checkCount(): void {
    const { subscriptionsMax } = this.#parts.limits;
    if (this.#subscriptions.length < subscriptionsMax) return;
    throw new EverywireError('quota_exceeded', `A connection has at most ${subscriptionsMax} subscriptions.`);
  }

  async #join(text: string, options: SubscribeOptions): Promise<GroupMember> {
    const { limits, groups, access, dispatcher } = this.#parts;
    const name = parseGroupName(text, limits);
    this.#countOperation();
    this.#authorize(name.filter);
    this.#checkCount();
    checkGroupOptions(options);
    const group = groups.find(name, placeOf(options.from));
    if (options.keepGroup === true) groups.keep(group);
    const isNew = !group.hasStarted;
    const mayDeliver = access.deliverable(this.#identity, name.filter);
    const { batchBytesMax } = dispatcher;
    const member = new GroupMember(group, this, {
      filter: text,
      ...memberOptionsOf(options, { mayDeliver, batchBytesMax, limits }),
    });
    this.#add(member);
    group.join(member);
    await this.#whenReady(member, group.ready);
    member.startCursor = isNew ? group.subscription.startCursor : group.cursor;
    if (isNew) {
      const { startGaps } = group.subscription;
      member.startGaps = startGaps.filter((gap) => mayBeTold(name.filter, gap, member.mayDeliver));
      this.#countGaps(member.startGaps);
    }
    return member;
  }

  #add(subscription: OwnSubscription): void {
    this.#subscriptions = this.#subscriptions.concat(subscription);
    this.#count(1);
  }

  #countGaps(gaps: readonly Gap[]): void {
    const counts = this.#parts.figures.gaps;
    for (const { reason } of gaps) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }

  #count(more: 1 | -1): void {
    const { figures } = this.#parts;
    const { transport } = this.hello;
    figures.subscriptions += more;
    figures.subscriptionsByTransport.set(
      transport,
      (figures.subscriptionsByTransport.get(transport) ?? 0) + more,
    );
  }

  async #whenReady<S extends OwnSubscription>(subscription: S, ready: Promise<void>): Promise<S> {
    try {
      await ready;
    } catch (cause) {
      subscription.cancel();
      throw cause;
    }
    if (subscription.stage === 'ended') {
      if (this.#ended !== undefined) throw endOf(this.#ended);
      // The client may have lost the right meanwhile: then that is the reason.
      this.#parts.access.authorizeSubscribe(this.#identity, subscription.fanout.filter);
      throw new EverywireError('going_away', 'The connection ended before the subscription started.');
    }
    return subscription;
  }
}

/** Made only when an operation asks: each request of HTTP ends a session, and an `Error` with its stack costs 9 µs. */
function endOf(why: 'left' | EverywireError): EverywireError {
  return why === 'left' ? new EverywireError('going_away', 'The session has ended.') : why;
}
