import {
  EverywireError,
  parseCursor,
  toEverywireError,
  type Position,
  parseFilter,
  type Filter,
  checkChannel,
  type Start,
  type From,
} from '@everywire/protocol';
import type { Identity } from './access.ts';
import { begin, type BeginAt } from '../fanout/find-start.ts';
import { GroupMember } from '../groups/member.ts';
import { isGroupName, parseGroupName } from '../groups/name.ts';
import type { Hub } from '../hub.ts';
import type { Message } from '../log/message.ts';
import { mayBeTold, readableGaps, type MayDeliver } from '../fanout/readable-gap.ts';
import type { ChannelInfo, Page } from '../seams/store.ts';
import { LogSubscription, type SubscriptionHost, type Restrictions } from '../fanout/subscription.ts';
import type { Counted } from '../publish/throttle.ts';
import type {
  Hello,
  ListedChannel,
  Published,
  PublishDraft,
  PublishEntry,
  PublishOptions,
  PublishResult,
  Session,
} from '../seams/session-api.ts';
import type { Sink } from '../seams/sink.ts';
import type { SubscribeOptions, Subscription } from '../seams/subscription-api.ts';

/** How many of its own messages a session remembers in order to leave them out where echo is off. */
const ownMessagesMax = 10_000;

export class HubSession implements Session, SubscriptionHost {
  readonly hello: Hello;
  readonly sink: Sink;
  isHeld = false;
  #identity: Identity;
  readonly #hub: Hub;
  /** Replaced, not changed: most sessions have one, and an array that grows reserves 16 places more. */
  #subscriptions: readonly (LogSubscription | GroupMember)[] = [];
  #ownMessages: Set<string> | undefined;
  #ownCounted: Counted | undefined;
  /** Why it has ended, once it has. */
  #ended: EverywireError | undefined;
  #isExpelled = false;
  #roomTurn = 0;

  constructor(hub: Hub, identity: Identity, hello: Hello, sink: Sink) {
    this.#hub = hub;
    this.#identity = identity;
    this.hello = hello;
    this.sink = sink;
  }

  get identity(): Identity {
    return this.#identity;
  }

  async refresh(token: string): Promise<void> {
    this.#checkOpen();
    // A signature costs more than most of what a peer can ask for.
    this.#hub.throttle.operation(this.#identity, this.#counted);
    const identity = await this.#hub.authenticate({ token, address: this.hello.address });
    this.#checkOpen();
    if (identity.subject !== this.#identity.subject) {
      throw new EverywireError('forbidden', 'A connection stays with the subject that opened it.');
    }
    this.#identity = identity;
    this.#hub.refreshed(this);
    for (const subscription of this.#subscriptions) this.#judgeAnew(subscription);
  }

  expel(error: EverywireError): void {
    if (this.#ended !== undefined) return;
    this.#isExpelled = true;
    this.#close(error);
    try {
      this.sink.close({ error });
    } finally {
      this.#cancelAll();
    }
  }

  async publish(channel: string, draft: PublishDraft, options?: PublishOptions): Promise<Published> {
    this.#checkGrant();
    this.#countPublishes(1);
    const entry = this.#hub.prepare(this.identity, channel, draft, true);
    this.#noteOwn(entry.draft.id);
    const [result] = await this.#hub.append([entry], options);
    if (result instanceof EverywireError) throw result;
    return result!;
  }

  async publishAll(
    entries: readonly PublishEntry[],
    options: PublishOptions & { readonly atomic?: boolean } = {},
  ): Promise<readonly PublishResult[]> {
    this.#checkGrant();
    this.#countPublishes(entries.length);
    const results: (PublishResult | undefined)[] = [];
    const accepted: ReturnType<Hub['prepare']>[] = [];
    for (const { channel, draft } of entries) {
      try {
        accepted.push(this.#hub.prepare(this.identity, channel, draft, true));
        results.push(undefined);
      } catch (refusal) {
        if (options.atomic === true) throw refusal;
        results.push(toEverywireError(refusal));
      }
    }
    for (const { draft } of accepted) this.#noteOwn(draft.id);
    // One that is refused here keeps the records from being written, as one that the store refuses does.
    const given = accepted.length === entries.length ? options : { ...options, records: undefined };
    const appended = accepted.length === 0 ? [] : await this.#hub.append(accepted, given);
    let next = 0;
    return results.map((refused) => refused ?? appended[next++]!);
  }

  get publishWaitMs(): number {
    return this.#hub.throttle.publishWaitMs(this.#identity, this.#counted);
  }

  checkPublish(channel: string, draft: PublishDraft): void {
    this.#checkGrant();
    this.#hub.prepare(this.identity, channel, draft, false);
  }

  async subscribe(text: string, options: SubscribeOptions): Promise<LogSubscription | GroupMember> {
    if (isGroupName(text)) return this.#join(text, options);
    const filter = this.#checkFilter(text);
    this.#checkCount();
    const at =
      options.progress === undefined
        ? placeOf(options.from)
        : { cursor: checkCursor(options.progress.cursor) };
    const fanout = this.#hub.fanoutOf(filter);
    fanout.hold();
    const subscription = new LogSubscription(this, fanout, this.#hub.head, {
      filter: text,
      tag: options.tag,
      restrictions: this.#restrictions(filter, options),
    });
    this.#add(subscription);
    return this.#whenBegun(subscription, begin(this.#hub, subscription, at));
  }

  async read(text: string, from: From | undefined, messagesMax: number): Promise<Page> {
    const filter = this.#checkFilter(text);
    const cursor = from !== undefined && 'after' in from ? checkCursor(from.after) : undefined;
    const start: Start =
      from !== undefined && 'since' in from ? from.since : { kind: 'last', count: messagesMax };
    const { store, limits } = this.#hub;
    const position = cursor ?? (await store.locate(filter, start));
    const page = await store.read(filter, position, { messagesMax, bytesMax: limits.outboundBytesMax });
    // Somebody who goes on by subscription must not find there what this page calls gone.
    if (page.gaps.length > 0) this.#hub.catchUp.forgetAfter(filter, position.seq);
    const mayDeliver = this.#hub.access.deliverable(this.identity, filter);
    const messages = this.#readable(page.messages, mayDeliver);
    return { ...page, messages, gaps: readableGaps(filter, page.gaps, { position, mayDeliver }) };
  }

  async retained(text: string, limit: number): Promise<readonly Message[]> {
    // It comes with a subscription, which was counted.
    const filter = this.#authorize(this.#parseFilter(text));
    const messages = await this.#hub.store.retained(filter, limit);
    return this.#readable(messages, this.#hub.access.deliverable(this.identity, filter));
  }

  async channels(text: string, after: string | undefined, limit: number): Promise<readonly ListedChannel[]> {
    const filter = this.#checkFilter(text);
    const mayDeliver = this.#hub.access.deliverable(this.identity, filter);
    const channels =
      mayDeliver === undefined
        ? await this.#hub.store.channels(filter, after, limit)
        : await this.#readableChannels(filter, mayDeliver, after, limit);
    return channels.map((info) => ({ ...info, subscribers: this.#hub.subscribersOf(info.channel) }));
  }

  /** As many as are asked for: a short page is taken for the last one, and a name to go on from must be readable. */
  async #readableChannels(
    filter: Filter,
    mayDeliver: (channel: string) => boolean,
    after: string | undefined,
    limit: number,
  ): Promise<readonly ChannelInfo[]> {
    const { store, limits } = this.#hub;
    const found: ChannelInfo[] = [];
    let from = after;
    for (;;) {
      const page = await store.channels(filter, from, limits.pageMessagesMax);
      found.push(...page.filter(({ channel }) => mayDeliver(channel)));
      if (page.length < limits.pageMessagesMax || found.length >= limit) return found.slice(0, limit);
      from = page.at(-1)!.channel;
    }
  }

  async drop(channel: string): Promise<boolean> {
    this.#checkOpen();
    checkChannel(channel, this.#hub.limits);
    this.#hub.access.authorizeAdmin(this.identity, 'delete a channel');
    return this.#hub.store.drop(channel);
  }

  drained(): void {
    if (this.#ended !== undefined) return;
    this.isHeld = false;
    for (const subscription of this.#subscriptions) {
      if (subscription.stage === 'held') subscription.goOn();
    }
  }

  creditAvailable(): void {
    const waiting = this.#subscriptions.filter(({ stage }) => stage === 'full');
    if (waiting.length === 0) return;
    // Another goes first each time: where room comes by single messages, the first one takes it all.
    this.#roomTurn = (this.#roomTurn + 1) % waiting.length;
    for (let at = 0; at < waiting.length; at += 1) waiting[(at + this.#roomTurn) % waiting.length]!.goOn();
  }

  end(_how: 'left' | 'lost'): void {
    if (this.#ended !== undefined) return;
    this.#close(new EverywireError('going_away', 'The session has ended.'));
    this.#cancelAll();
  }

  #close(why: EverywireError): void {
    this.#ended = why;
    // What one member of a group gives back must not go to another one of this session.
    this.isHeld = true;
  }

  #cancelAll(): void {
    for (const subscription of this.#subscriptions) subscription.cancel();
    this.#hub.closed(this);
  }

  countDelivered(messages: number): void {
    this.#hub.figures.delivered += messages;
  }

  isOwnMessage(id: string): boolean {
    return this.#ownMessages?.has(id) ?? false;
  }

  resume(subscription: LogSubscription): void {
    subscription.fanout.leave(subscription);
    const hasPage = subscription.firstPage !== undefined;
    if (hasPage || !subscription.fanout.join(subscription)) this.#hub.catchUp.enqueue(subscription);
  }

  remove(subscription: Subscription): void {
    this.#subscriptions = this.#subscriptions.filter((other) => other !== subscription);
    this.#count(-1);
  }

  /** What of `messages` this identity may be given and has not expired. */
  #readable(messages: readonly Message[], mayDeliver: MayDeliver): readonly Message[] {
    const nowMs = this.#hub.clock.nowMs();
    return messages.filter(
      ({ channel, expiresAtMs }) =>
        (mayDeliver === undefined || mayDeliver(channel)) &&
        (expiresAtMs === undefined || expiresAtMs > nowMs),
    );
  }

  #checkFilter(text: string): Filter {
    const filter = this.#parseFilter(text);
    this.#countOperation();
    return this.#authorize(filter);
  }

  #parseFilter(text: string): Filter {
    if (isGroupName(text))
      throw new EverywireError('bad_name', 'A group is joined by a subscription; nothing else reads it.');
    return parseFilter(text, this.#hub.limits);
  }

  #countOperation(): void {
    this.#checkOpen();
    this.#hub.throttle.operation(this.#identity, this.#counted);
  }

  #authorize(filter: Filter): Filter {
    this.#checkOpen();
    try {
      this.#hub.access.authorizeSubscribe(this.identity, filter);
    } catch (refusal) {
      this.#hub.refused(this.identity, { subscribe: filter.text }, refusal);
      throw refusal;
    }
    return filter;
  }

  get #counted(): Counted {
    return (this.#ownCounted ??= this.hello.counted ?? {});
  }

  #countPublishes(count: number): void {
    try {
      this.#hub.throttle.publishes(this.#identity, this.#counted, count);
    } catch (refusal) {
      this.#hub.figures.refused += count;
      throw refusal;
    }
  }

  /**
   * A token that is over is worth nothing, also in the second until the sessions that hold it are ended; nor one that was
   * revoked after its handshake and before its session began, while a body was still on its way.
   */
  #checkOpen(): void {
    if (this.#ended !== undefined) throw this.#ended;
    this.#checkGrant();
  }

  /** What a peer published before it said goodbye is stored after that; what one publishes that was expelled is not. */
  #checkGrant(): void {
    if (this.#isExpelled) throw this.#ended!;
    if (this.#identity.claims !== undefined) this.#hub.checkCurrent(this.#identity);
  }

  /** After the claims were replaced. */
  #judgeAnew(subscription: LogSubscription | GroupMember): void {
    const { access } = this.#hub;
    const { filter } = subscription.fanout;
    try {
      access.authorizeSubscribe(this.#identity, filter);
      subscription.mayDeliver = access.deliverable(this.#identity, filter);
    } catch (refusal) {
      subscription.withdraw(toEverywireError(refusal));
    }
  }

  #checkCount(): void {
    const { subscriptionsMax } = this.#hub.limits;
    if (this.#subscriptions.length < subscriptionsMax) return;
    throw new EverywireError('quota_exceeded', `A connection has at most ${subscriptionsMax} subscriptions.`);
  }

  async #join(text: string, options: SubscribeOptions): Promise<GroupMember> {
    const name = parseGroupName(text, this.#hub.limits);
    this.#countOperation();
    this.#authorize(name.filter);
    this.#checkCount();
    if (options.echo === false)
      throw new EverywireError(
        'invalid',
        'A member of a group gets what it publishes itself like any other.',
      );
    const group = this.#hub.groups.find(name, placeOf(options.from));
    if (options.keepGroup === true) this.#hub.groups.keep(group);
    const isNew = !group.hasBegun;
    const acknowledges = options.acknowledge === 'peer';
    const member = new GroupMember(group, this, {
      filter: text,
      tag: options.tag,
      mayDeliver: this.#hub.access.deliverable(this.identity, name.filter),
      acknowledges,
      windowMessages: acknowledges ? this.#windowMessages(options) : Number.POSITIVE_INFINITY,
      windowBytes: this.#hub.limits.groupMemberBytesMax,
      batchBytesMax: this.#hub.batchBytesMax,
      credit: options.credit,
      batches: options.batches ?? Number.POSITIVE_INFINITY,
      batchMessagesMax: options.batchMessagesMax ?? Number.POSITIVE_INFINITY,
    });
    this.#add(member);
    group.join(member);
    await this.#whenBegun(member, group.ready);
    member.startCursor = isNew ? group.subscription.startCursor : group.cursor;
    if (isNew) {
      const { startGaps } = group.subscription;
      member.startGaps = startGaps.filter((gap) => mayBeTold(name.filter, gap, member.mayDeliver));
    }
    return member;
  }

  #add(subscription: LogSubscription | GroupMember): void {
    this.#subscriptions = [...this.#subscriptions, subscription];
    this.#count(1);
  }

  #count(more: 1 | -1): void {
    const { figures } = this.#hub;
    const { transport } = this.hello;
    figures.subscriptions += more;
    figures.subscriptionsByTransport.set(
      transport,
      (figures.subscriptionsByTransport.get(transport) ?? 0) + more,
    );
  }

  async #whenBegun<S extends LogSubscription | GroupMember>(
    subscription: S,
    begun: Promise<void>,
  ): Promise<S> {
    try {
      await begun;
    } catch (cause) {
      subscription.cancel();
      throw cause;
    }
    if (subscription.stage === 'ended') {
      if (this.#ended !== undefined) throw this.#ended;
      // Its right may have been withdrawn meanwhile: that is the reason then.
      this.#hub.access.authorizeSubscribe(this.#identity, subscription.fanout.filter);
      throw new EverywireError('going_away', 'The connection ended while it subscribed.');
    }
    return subscription;
  }

  #restrictions(filter: Filter, options: SubscribeOptions): Restrictions | undefined {
    const mayDeliver = this.#hub.access.deliverable(this.identity, filter);
    const echo = options.echo ?? true;
    if (!echo) this.#ownMessages ??= new Set();
    const isPlain =
      mayDeliver === undefined &&
      echo &&
      options.acknowledge !== 'peer' &&
      options.credit === undefined &&
      options.batches === undefined &&
      options.batchMessagesMax === undefined;
    if (isPlain) return undefined;
    return {
      mayDeliver,
      echo,
      credit: options.credit,
      batchMessagesMax: options.batchMessagesMax ?? Number.POSITIVE_INFINITY,
      batches: options.batches ?? Number.POSITIVE_INFINITY,
      window:
        options.acknowledge === 'peer'
          ? { messagesMax: this.#windowMessages(options), progress: options.progress }
          : undefined,
    };
  }

  #windowMessages({ windowMessages }: SubscribeOptions): number {
    const { windowMessagesDefault, windowMessagesMax } = this.#hub.limits;
    return Math.min(windowMessages ?? windowMessagesDefault, windowMessagesMax);
  }

  #noteOwn(id: string): void {
    const own = this.#ownMessages;
    if (own === undefined) return;
    own.add(id);
    if (own.size > ownMessagesMax) own.delete(own.values().next().value!);
  }
}

function placeOf(from: From | undefined): BeginAt {
  if (from === undefined) return {};
  return 'after' in from ? { cursor: checkCursor(from.after) } : { since: from.since };
}

function checkCursor(text: string): Position {
  const position = parseCursor(text);
  if (position === undefined)
    throw new EverywireError('bad_cursor', 'after takes a cursor as this server gave it, and this is none.');
  return position;
}
