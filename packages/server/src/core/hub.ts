import {
  EverywireError,
  formatCursor,
  noTag,
  toEverywireError,
  type Position,
  FilterTrie,
  exactFilter,
  type Filter,
  checkChannel,
} from '@everywire/protocol';
import type { Access, Credentials, Identity } from './sessions/access.ts';
import type { Admission } from './sessions/admission.ts';
import { CatchUp } from './fanout/catch-up.ts';
import type { Clock, Random, Timer } from './clock.ts';
import { checkDraft } from './log/drafts.ts';
import { createDurableServices, type DurableServices } from './durable/services.ts';
import { ChannelFanout } from './fanout/channel-fanout.ts';
import { Grants } from './sessions/grants.ts';
import { Groups } from './groups/groups.ts';
import type { GroupMember } from './groups/member.ts';
import { createIds } from './log/ids.ts';
import type { Limits } from './limits.ts';
import type { Message } from './log/message.ts';
import type { Namespaces } from './log/namespaces.ts';
import { mayBeTold, readableGap } from './fanout/readable-gap.ts';
import { ThrottledLog } from './throttled-log.ts';
import { HubSession } from './sessions/session.ts';
import type { Entry, Feed, Gap, Health, Store } from './seams/store.ts';
import type { LogSubscription, Outcome } from './fanout/subscription.ts';
import { Throttle } from './publish/throttle.ts';
import type { Figures, HubFront } from './seams/hub-api.ts';
import type { Log } from './seams/log.ts';
import type {
  Hello,
  Published,
  PublishDraft,
  PublishOptions,
  PublishResult,
  Session,
} from './seams/session-api.ts';
import type { Sink } from './seams/sink.ts';

export interface HubOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly access: Access;
  /** Told who has shown a token, for the bounds of connections. */
  readonly admission?: Admission | undefined;
  readonly namespaces: Namespaces;
  readonly limits: Limits;
  readonly log: Log;
}

/** How often the store trims by age and unused pages are let go. */
const sweepEveryMs = 5_000;
/** Before a read that failed is tried again. */
const retryReadMs = 250;
/** Channels whose matching wildcard fanouts are remembered. */
const wildcardMatchesMax = 10_000;

export function createHub(options: HubOptions): Hub {
  return new Hub(options);
}

/** The front door of the core: authenticates, opens sessions, publishes, and brings what the feed reports to fanouts. */
export class Hub implements HubFront, Feed {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly limits: Limits;
  readonly catchUp: CatchUp;
  readonly durable: DurableServices;
  readonly groups: Groups;
  readonly throttle: Throttle;
  readonly figures: Figures = {
    published: 0,
    refused: 0,
    rateLimited: 0,
    delivered: 0,
    flushes: 0,
    subscriptions: 0,
    subscriptionsByTransport: new Map(),
    sessions: new Map(),
  };
  readonly batchBytesMax: number;
  readonly batchMessagesMax: number;
  readonly #namespaces: Namespaces;
  readonly #log: Log;
  readonly #throttledLog: ThrottledLog;
  readonly #nextId: () => string;
  readonly #byChannel = new Map<string, ChannelFanout>();
  readonly #byWildcard = new Map<string, ChannelFanout>();
  readonly #wildcards = new FilterTrie<ChannelFanout>();
  readonly #wildcardMatches = new Map<string, readonly ChannelFanout[]>();
  readonly #grants: Grants;
  readonly #admission: Admission | undefined;
  #head: Position = { epoch: '000000', seq: 0, tag: noTag };
  #dirty = new Set<ChannelFanout>();
  #isFlushScheduled = false;
  #sweepTimer: Timer | undefined;
  #isDraining = false;
  #isStopped = false;

  constructor(options: HubOptions) {
    this.store = options.store;
    this.clock = options.clock;
    this.access = options.access;
    this.limits = options.limits;
    this.#namespaces = options.namespaces;
    this.#log = options.log;
    this.#throttledLog = new ThrottledLog(options.clock, options.log);
    this.#nextId = createIds(options.clock, options.random);
    this.batchBytesMax = options.limits.batchBytesMax;
    this.batchMessagesMax = options.limits.pageMessagesMax;
    this.catchUp = new CatchUp({
      store: options.store,
      clock: options.clock,
      pageLimit: { messagesMax: this.batchMessagesMax, bytesMax: this.batchBytesMax },
      pageCacheBytesMax: options.limits.pageCacheBytesMax,
      settle: (subscription, outcome) => this.settle(subscription, outcome),
      notifyGap: (subscription, gap) => this.notifyGap(subscription, gap),
      broken: (subscription, cause) => this.broken(subscription, cause),
      retry: (run, cause) => this.retry(run, cause),
    });
    this.durable = createDurableServices({
      records: options.store.records,
      cluster: options.store.cluster,
      isShared: options.store.traits.writers === 'many',
      clock: options.clock,
      log: options.log,
      headSeq: () => this.#head.seq,
    });
    this.groups = new Groups(this, options.log);
    this.#grants = new Grants(options.access, options.clock, options.log);
    this.#admission = options.admission;
    this.throttle = new Throttle(options.limits, options.clock, () => (this.figures.rateLimited += 1));
  }

  /** Opens the store. From here on the hub is its feed. */
  async start(): Promise<void> {
    await this.store.open(this);
    this.#head = await this.store.locate(exactFilter('-'), { kind: 'latest' });
    await this.groups.load();
    this.#scheduleSweep();
  }

  /** Sessions are the transports' to end, before this. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#sweepTimer?.cancel();
    this.#grants.stop();
    await this.groups.stop();
    await this.durable.saver.stop();
    await this.store.close();
  }

  beginDrain(): void {
    this.#isDraining = true;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  get head(): Position {
    return this.#head;
  }

  health(): Health {
    return this.store.health();
  }

  async authenticate(credentials: Credentials): Promise<Identity> {
    const { connection, address } = credentials;
    try {
      const identity = await this.access.authenticate(credentials);
      if (connection !== undefined) this.#admission?.know(connection, identity.subject);
      return identity;
    } catch (refusal) {
      const { code, message: detail } = toEverywireError(refusal);
      // Many clients do not show their users why they were refused.
      this.#throttledLog.info({ address, code, detail }, 'a login was refused');
      this.#log.debug({ address, code, detail }, 'a login was refused');
      throw refusal;
    }
  }

  /** A peer was told no, which its protocol may have no words for. */
  refused({ subject }: Identity, what: object, refusal: unknown): void {
    const { code, message: detail } = toEverywireError(refusal);
    this.#log.debug({ subject, ...what, code, detail }, 'a peer was refused');
  }

  recognize(connection: string, { subject }: Identity): void {
    this.#admission?.know(connection, subject);
  }

  checkCurrent(identity: Identity): void {
    this.access.checkCurrent(identity);
  }

  authorizeAdmin(identity: Identity, action: string): void {
    this.access.authorizeAdmin(identity, action);
  }

  open(identity: Identity, hello: Hello, sink: Sink): Session {
    const { sessions } = this.figures;
    sessions.set(hello.transport, (sessions.get(hello.transport) ?? 0) + 1);
    const session = new HubSession(this, identity, hello, sink);
    this.#grants.watch(session);
    return session;
  }

  /** The session has another identity. */
  refreshed(session: HubSession): void {
    this.#grants.watch(session);
  }

  closed(session: HubSession): void {
    this.#grants.forget(session);
    const { sessions } = this.figures;
    const { transport } = session.hello;
    sessions.set(transport, (sessions.get(transport) ?? 1) - 1);
  }

  forgetGroup(name: string): void {
    this.groups.forget(name);
  }

  /** Checks one message of a publisher, and with `isCounted` the rate of its channel. @throws EverywireError */
  prepare(identity: Identity, channel: string, given: PublishDraft, isCounted: boolean): Entry {
    try {
      checkChannel(channel, this.limits);
      this.access.authorizePublish(identity, channel);
      const stamp = { id: this.#nextId(), nowMs: this.clock.nowMs(), from: identity.subject };
      const rules = this.#namespaces.rulesOf(channel);
      const { retention, durability } = rules;
      const draft = checkDraft(given, stamp, this.limits, rules.payloadBytesMax);
      if (isCounted) this.throttle.channel(channel, rules.publishesPerSecondMax);
      return { channel, draft, retention, durability };
    } catch (refusal) {
      this.figures.refused += 1;
      this.refused(identity, { publish: channel }, refusal);
      throw refusal;
    }
  }

  async append(
    entries: readonly Entry[],
    { atomic, records, fences }: PublishOptions & { readonly atomic?: boolean } = {},
  ): Promise<readonly PublishResult[]> {
    const appended = await this.store.append(entries, {
      ...(atomic === undefined ? {} : { atomic }),
      ...(records === undefined ? {} : { records }),
      ...(fences === undefined ? {} : { fences }),
    });
    return appended.map((result) => {
      if (result instanceof EverywireError) {
        this.figures.refused += 1;
        return result;
      }
      if (!result.duplicate) this.figures.published += 1;
      const { channel, offset, seq, id, timeMs, duplicate } = result;
      return {
        channel,
        offset,
        cursor: formatCursor(result),
        seq,
        id,
        timeMs,
        duplicate,
      } satisfies Published;
    });
  }

  fanoutOf(filter: Filter): ChannelFanout {
    const fanouts = filter.channel === undefined ? this.#byWildcard : this.#byChannel;
    let fanout = fanouts.get(filter.text);
    if (fanout === undefined) {
      fanout = new ChannelFanout(filter, this);
      fanouts.set(filter.text, fanout);
      if (filter.channel === undefined) {
        this.#wildcards.add(filter, fanout);
        this.#wildcardMatches.clear();
      }
    }
    return fanout;
  }

  subscribersOf(channel: string): number {
    return this.#wildcardFanoutsOf(channel).reduce(
      (sum, fanout) => sum + fanout.holders,
      this.#byChannel.get(channel)?.holders ?? 0,
    );
  }

  appended(channel: string, messages: readonly Message[]): void {
    const last = messages[messages.length - 1]!;
    if (last.seq > this.#head.seq) this.#head = last.position;
    this.#byChannel.get(channel)?.accept(messages);
    if (this.#wildcards.size > 0)
      for (const fanout of this.#wildcardFanoutsOf(channel)) fanout.accept(messages);
  }

  interrupted(): void {
    for (const fanout of this.#byChannel.values()) fanout.readAgain();
    for (const fanout of this.#byWildcard.values()) fanout.readAgain();
  }

  dropped(channel: string): void {
    this.catchUp.forgetChannel(channel);
    this.#byChannel.get(channel)?.channelDropped();
  }

  nowMs(): number {
    return this.clock.nowMs();
  }

  scheduleFlush(fanout: ChannelFanout): void {
    this.#dirty.add(fanout);
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    this.clock.turn(() => this.#flush());
  }

  settle(subscription: LogSubscription, outcome: Outcome): void {
    if (subscription.stage === 'ended') return;
    switch (outcome) {
      case 'held':
      case 'full':
        subscription.stage = outcome;
        break;
      case 'ended':
        subscription.cancel();
        subscription.host.sink.notify({ kind: 'ended', subscription });
        break;
      case 'behind':
      case 'taken':
        this.catchUp.enqueue(subscription);
        break;
    }
  }

  notifyGap(subscription: LogSubscription, gap: Gap): void {
    const { filter } = subscription.fanout;
    if (!mayBeTold(filter, gap, subscription.mayDeliver)) return;
    const told = readableGap(filter, gap, subscription.position);
    subscription.host.sink.notify({ kind: 'gap', subscription, gap: told });
  }

  forgetPagesAfter(filter: Filter, seq: number): void {
    this.catchUp.forgetAfter(filter, seq);
  }

  /** A sink threw, which is a fault in a transport: it costs that one peer, who may come back with its cursor. */
  broken(subscription: LogSubscription | GroupMember, cause: unknown): void {
    this.#log.error(
      { err: cause, filter: subscription.filter },
      'a delivery failed; the connection is closed',
    );
    const error = new EverywireError('internal', 'A delivery failed; come back with the cursor.', { cause });
    const { sink } = subscription.host;
    subscription.cancel();
    sink.close({ error });
  }

  retry(run: () => void, cause: unknown): void {
    this.#log.warn({ err: cause }, 'the store could not be read; trying again');
    if (!this.#isStopped) this.clock.after(retryReadMs, run);
  }

  forget(fanout: ChannelFanout): void {
    const { filter } = fanout;
    if (filter.channel === undefined) {
      this.#byWildcard.delete(filter.text);
      this.#wildcards.remove(filter, fanout);
      this.#wildcardMatches.clear();
    } else {
      this.#byChannel.delete(filter.text);
    }
    this.store.unfollow(filter).catch((cause: unknown) => {
      this.#log.warn({ err: cause, filter: filter.text }, 'the store could not stop following');
    });
  }

  #flush(): void {
    this.#isFlushScheduled = false;
    const fanouts = this.#dirty;
    this.#dirty = new Set();
    this.figures.flushes += 1;
    for (const fanout of fanouts) fanout.flush();
  }

  #wildcardFanoutsOf(channel: string): readonly ChannelFanout[] {
    if (this.#wildcards.size === 0) return [];
    const known = this.#wildcardMatches.get(channel);
    if (known !== undefined) return known;
    const found: ChannelFanout[] = [];
    this.#wildcards.match(channel, (fanout) => found.push(fanout));
    if (this.#wildcardMatches.size >= wildcardMatchesMax) this.#wildcardMatches.clear();
    this.#wildcardMatches.set(channel, found);
    return found;
  }

  #scheduleSweep(): void {
    this.#sweepTimer = this.clock.after(sweepEveryMs, () => {
      this.groups.sweep();
      this.throttle.sweep();
      this.catchUp.forgetUnused(this.clock.monotonicMs() - sweepEveryMs);
      this.store
        .sweep(this.clock.nowMs(), (channel) => this.#namespaces.rulesOf(channel).retention)
        .catch((cause: unknown) => this.#log.error({ err: cause }, 'the store could not trim by age'))
        .finally(() => {
          if (!this.#isStopped) this.#scheduleSweep();
        });
    });
  }
}
