import {
  EverywireError,
  formatCursor,
  noTag,
  toEverywireError,
  matches,
  parseFilter,
  parseSince,
  type From,
} from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { Batch } from '../../core/log/batch.ts';
import { isGroupName } from '../../core/groups/name.ts';
import type { DurableHolder, DurableSession } from '../../core/durable/kind.ts';
import type { SubscriptionProgress } from '../../core/durable/progress.ts';
import type { Message } from '../../core/log/message.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Order, Subscription } from '../../core/seams/subscription-api.ts';
import type { IoEvent } from './application.ts';
import { readCommand, type Command } from './commands.ts';
import { SessionBatch } from './session-batch.ts';
import type { IoSocket } from './io-socket.ts';
import { Membership, Memberships, nameInNamespace } from './membership.ts';
import { Following, laterOf, seqOf } from './following.ts';
import {
  followed,
  recordOf,
  removed,
  type SessionRecord,
  type SessionRecords,
  type SessionState,
} from './records.ts';
import {
  continuedItem,
  deliveriesAt,
  endedItems,
  errorItems,
  gapItems,
  okItem,
  publishedItem,
  refusedItem,
  subscribedItem,
  type Deliveries,
} from './format.ts';
import type { SocketIoHost } from './limits.ts';
import { refusalOf } from '../parts/refusal.ts';

export interface SessionParts {
  readonly host: SocketIoHost;
  readonly records: SessionRecords;
  readonly deliveries: Deliveries;
  /** With which the connection closes when the server drains. */
  readonly drainCode: number;
  /** In front of the channels of this namespace: nothing, or `chat/`. */
  readonly channelPrefix: string;
}

/** How a command is answered, and what starts after the answer. */
interface Answer {
  readonly item: string;
  readonly start?: () => void;
}

const okAnswer: Answer = { item: okItem };

/** A peer in a namespace: its commands become calls on the hub's session, its deliveries events. */
export class IoSession implements Sink, DurableHolder {
  readonly pid: string;
  readonly sid: string;
  readonly #parts: SessionParts;
  readonly #socket: IoSocket<IoSession>;
  /** All filters in one order: the peer comes back with the cursor of the last message it saw. */
  #order!: Order;
  #followings: readonly Following[] = [];
  /** Once it is a member of a group. */
  #memberships: Memberships | undefined;
  /** Where subscriptions begin that name no place. */
  readonly #after: string | undefined;
  /** The cursor that the peer had when it came. */
  cameWith: string | undefined;
  #session!: Session;
  #durable: DurableSession | undefined;
  /** What the peer has, once it has what was sent. */
  #last: Message | string | undefined;
  #turn: { readonly at: string; readonly isUnclear: boolean } | undefined;
  /** What was sent since a poll's answer was last made durable. */
  hasNews = false;
  #saving: Promise<void> | undefined;
  #nextSaving: Promise<void> | undefined;
  #hasEnded = false;
  /** What it followed and may not any more, until it is told. */
  #denied: (readonly string[])[] | undefined;
  /** Why its session was ended before the peer had been answered. */
  #expelled: EverywireError | undefined;

  constructor(
    parts: SessionParts,
    socket: IoSocket<IoSession>,
    names: { readonly pid: string; readonly sid: string },
    after: string | undefined,
  ) {
    this.#parts = parts;
    this.#socket = socket;
    this.pid = names.pid;
    this.sid = names.sid;
    this.#after = after;
  }

  /** Called once, before anything else. */
  begin(session: Session): void {
    this.#session = session;
    this.#order = session.order({ waitingBytesMax: this.#parts.host.limits.ioOrderBytesMax });
  }

  /** The last cursor that was sent. */
  get cursor(): string | undefined {
    return typeof this.#last === 'object' ? this.#last.cursor : this.#last;
  }

  get identity(): Identity {
    return this.#session.identity;
  }

  /** It can come back to what it follows: no other connection has taken its row. */
  get isKept(): boolean {
    return this.#durable?.isOpen === true;
  }

  /** Writes the row of a session that is new. */
  async keep(): Promise<void> {
    await this.#open();
    await this.save();
  }

  /**
   * Takes up what the peer followed, from where it was, from the connection that has it: that may not know yet that it is
   * dead. Nothing is sent before `start`, which tells of what it may not follow any more. Returns what is missing there.
   * @param cursor the last one that the peer has
   * @throws EverywireError when it cannot go on exactly there
   */
  async comeBack(cursor: string | undefined): Promise<readonly Notice[]> {
    const record = await this.#open();
    if (record === undefined) throw new EverywireError('not_found', 'The session is gone.');
    this.#last = cursor;
    this.cameWith = cursor;
    const isAtTurn = cursor !== undefined && cursor === record.turnedAt;
    if (isAtTurn && record.isTurnUnclear === true) {
      throw new EverywireError('bad_cursor', 'Whether the peer has what followed cannot be known.');
    }
    if (record.turnedAt !== undefined) {
      this.#turn = { at: record.turnedAt, isUnclear: record.isTurnUnclear === true };
    }
    const gaps: Notice[] = [];
    await Promise.all(
      record.follows.map(async ([filter, floor]) => {
        const following = new Following(filter);
        following.floor = floor;
        this.#followings = [...this.#followings, following];
        const after = isAtTurn ? floor : laterOf(floor, cursor);
        const subscription = await this.#unlessDenied(
          filter,
          this.#session.subscribe(filter, { from: { after }, tag: following, order: this.#order }),
        );
        if (subscription === undefined) {
          this.#stopFollowing(following);
          return;
        }
        following.subscription = subscription;
        for (const gap of subscription.startGaps) gaps.push({ kind: 'gap', subscription, gap });
      }),
    );
    await Promise.all(
      (record.groups ?? []).map((name) => this.#unlessDenied(name, this.#enter(name, undefined))),
    );
    this.#durable!.adopt();
    return gaps;
  }

  async #open(): Promise<SessionRecord | undefined> {
    const { session, found } = await this.#parts.records.openSession(this.pid, this, this.identity);
    this.#durable = session;
    return found && recordOf(found);
  }

  async #unlessDenied<T>(name: string, begun: Promise<T>): Promise<T | undefined> {
    try {
      return await begun;
    } catch (caught) {
      const error = toEverywireError(caught);
      if (error.code !== 'forbidden') throw error;
      (this.#denied ??= []).push(endedItems(name, error));
      return undefined;
    }
  }

  /** The peer knows what it follows: what is there for it may go out. */
  start(): void {
    if (this.#expelled !== undefined) {
      this.close({ error: this.#expelled });
      return;
    }
    for (const items of this.#denied ?? []) this.#tell(items);
    if (this.#denied !== undefined) this.#durable!.saveSoon();
    this.#denied = undefined;
    for (const { subscription } of this.#followings) subscription!.start();
    this.#memberships?.start();
  }

  /** Never rejects. */
  receive(event: IoEvent): Promise<unknown> {
    try {
      return this.#answer(event, this.#run(readCommand(event, this.#parts.host.limits)));
    } catch (refusal) {
      this.#refuse(event, refusal);
      return Promise.resolve();
    }
  }

  writable(): void {
    if (!this.#hasEnded) this.#session.drained();
  }

  /** Who left on purpose does not come back to what it followed; the rows of all others stay. */
  ended(how: 'disconnected' | 'left' | 'lost'): undefined | Promise<void> {
    this.#hasEnded = true;
    this.#followings = [];
    this.#memberships?.clear();
    this.#session.end();
    if (how === 'disconnected' && this.#durable !== undefined) return removed(this.#durable);
    this.#durable?.release();
    return undefined;
  }

  /** Its peer has another connection. */
  lost(): undefined {
    this.#socket.engine.close(1000, 'session_taken');
  }

  subscriptions(): readonly SubscriptionProgress[] {
    const started = this.#followings.filter(({ floor }) => floor !== '');
    return started.map(({ filter, floor }) => followed(filter, floor));
  }

  state(): SessionState {
    return {
      sid: this.sid,
      ioNamespace: this.#socket.ioNamespace,
      groups: this.#memberships?.names,
      turnedAt: this.#turn?.at,
      isTurnUnclear: this.#turn?.isUnclear,
    };
  }

  rights(): Pick<Identity, 'isAdmin' | 'claims'> {
    const { isAdmin, claims } = this.identity;
    return { isAdmin, claims };
  }

  /** Its peer has another connection, which is a member by now: what came here would be lost. */
  leaveGroups(): void {
    this.#memberships?.leaveAll();
  }

  deliver(batch: Batch, { tag }: Subscription): boolean {
    if (!(tag instanceof Membership)) {
      this.#last = batch.messages[batch.messages.length - 1]!;
      this.hasNews = true;
      return this.#send(batch, this.#parts.deliveries);
    }
    // Where nothing else has been sent, the peer has nothing: each filter begins at its own floor when it comes back.
    const place = this.cursor ?? formatCursor({ epoch: this.#parts.host.hub.head.epoch, seq: 0, tag: noTag });
    return this.#send(batch, deliveriesAt(this.#socket.ioNamespace, place));
  }

  #send(batch: Batch, deliveries: Deliveries): boolean {
    const { engine } = this.#socket;
    return engine.kind === 'websocket'
      ? engine.sendFrames(batch.as(deliveries.websocket).bytes)
      : engine.sendEncoded(new SessionBatch(this, batch, deliveries));
  }

  notify(notice: Notice): void {
    switch (notice.kind) {
      case 'gap':
        // With one filter the place to go on from is beyond the gap; others may have to go on from before it.
        if (this.#followings.length === 1 && !isOfGroup(notice.subscription))
          this.#last = formatCursor(notice.gap.next);
        this.#tell(gapItems(notice.gap));
        break;
      case 'ended':
        // What brings nothing more must not be waited for.
        if (isOfGroup(notice.subscription)) this.#memberships?.leave(notice.subscription.tag as Membership);
        else this.#stopFollowing(notice.subscription.tag as Following);
        this.#tell(endedItems(notice.subscription.filter, notice.error));
        // What the row says too much does no harm: whoever comes back to it is judged anew.
        this.#durable!.saveSoon();
        break;
      case 'goaway':
        this.#socket.engine.close(this.#parts.drainCode, 'going_away');
        break;
    }
  }

  close({ error }: CloseReason): void {
    const { engine } = this.#socket;
    if (error.code !== 'unauthorized') {
      this.#socket.emit([...errorItems(error), JSON.stringify(this.#offset)]);
      engine.close(error.row.close, error.code);
      return;
    }
    if (this.#socket.stage === 'connecting') {
      this.#expelled = error;
      return;
    }
    // What no poll has fetched is not for it any more. The place that the peer has is before that then, and stays what it is.
    const isCutShort = engine.discard(this);
    this.#socket.emit([...errorItems(error), ...(isCutShort ? [] : [JSON.stringify(this.#offset)])]);
    // Other namespaces of the connection may be there with other tokens.
    this.#socket.disconnect();
  }

  /** Writes the record, so that the peer can come back to it. Calls that wait for the same write share one. */
  save(): Promise<void> {
    if (this.#saving === undefined) {
      this.#saving = this.#write().finally(() => (this.#saving = undefined));
      return this.#saving;
    }
    // The one that runs may have been made before what this is called for.
    this.#nextSaving ??= this.#saving
      .catch(() => undefined)
      .then(() => {
        this.#nextSaving = undefined;
        return this.save();
      });
    return this.#nextSaving;
  }

  async #write(): Promise<void> {
    // It follows nothing any more, and the row is what the peer comes back to; maybe it has, and writes it itself.
    if (this.#hasEnded) throw new EverywireError('going_away', 'The connection has ended.');
    await this.#durable!.save();
  }

  async #run(command: Command): Promise<Answer> {
    switch (command.op) {
      case 'subscribe':
        return this.#subscribe(command);
      case 'unsubscribe':
        return this.#unsubscribe(command.filter);
      case 'publish': {
        const channel = this.#parts.channelPrefix + command.channel;
        return { item: publishedItem(await this.#session.publish(channel, command.draft)) };
      }
      case 'auth':
        return this.#refresh(command.token);
    }
  }

  /** The row is what the peer comes back to where it shows nothing but a session's id: it must not hold a token that is over. */
  async #refresh(token: string): Promise<Answer> {
    await this.#session.refresh(token);
    this.#durable!.identity = this.identity;
    await this.save();
    return okAnswer;
  }

  async #subscribe(command: Command & { op: 'subscribe' }): Promise<Answer> {
    const { host, channelPrefix } = this.#parts;
    const filter = nameInNamespace(command.filter, channelPrefix, host.limits);
    if (isGroupName(filter)) return this.#join(filter, this.#fromOf(command, host.clock.nowMs()));
    const known = this.#followingOf(filter);
    if (known?.subscription !== undefined && command.after === undefined && command.since === undefined) {
      // Applications subscribe whenever they are connected, and were perhaps recovered: what they follow goes on.
      return { item: continuedItem(laterOf(known.floor, this.cursor)) };
    }
    const from = this.#fromOf(command, host.clock.nowMs());
    const following = new Following(filter);
    try {
      // Until it is started it keeps back what the others bring above its place.
      const subscription = await this.#session.subscribe(channelPrefix + command.filter, {
        from,
        tag: following,
        order: this.#order,
      });
      following.subscription = subscription;
      following.floor = subscription.startCursor;
      // The same filter again begins anew, as in MQTT [MQTT-3.8.4-3]: two of them could not be told apart.
      const before = this.#followingOf(filter);
      const { cursor } = this;
      if (cursor !== undefined && seqOf(following.floor) < seqOf(cursor)) await this.#turnBack(following);
      if (before !== undefined) this.#stopFollowing(before);
      this.#followings = [...this.#followings, following];
      await this.save();
      return { item: subscribedItem(subscription), start: () => this.#startFollowing(following) };
    } catch (caught) {
      this.#stopFollowing(following);
      throw caught;
    }
  }

  #followingOf(filter: string): Following | undefined {
    return this.#followings.find((following) => following.filter === filter);
  }

  #stopFollowing(following: Following): void {
    this.#followings = this.#followings.filter((other) => other !== following);
    following.subscription?.cancel();
  }

  /** A group that one is a member of goes on where it stands, whatever `from` is. */
  async #join(name: string, from: From | undefined): Promise<Answer> {
    const known = this.#memberships?.find(name)?.subscription;
    if (known !== undefined) return { item: continuedItem(known.cursor) };
    const membership = await this.#enter(name, from);
    try {
      await this.save();
    } catch (caught) {
      this.#memberships?.leave(membership);
      throw caught;
    }
    const item = subscribedItem(membership.subscription!);
    return { item, start: () => this.#startMembership(membership) };
  }

  #enter(name: string, from: From | undefined): Promise<Membership> {
    return (this.#memberships ??= new Memberships(this.#session)).enter(name, from);
  }

  /** The answer to the command has been sent. */
  #startMembership(membership: Membership): void {
    if (this.#memberships?.find(membership.name) !== membership) return;
    const subscription = membership.subscription!;
    for (const gap of subscription.startGaps.slice(1)) this.notify({ kind: 'gap', subscription, gap });
    subscription.start();
  }

  /** The answer to the command has been sent. */
  #startFollowing(following: Following): void {
    if (this.#followingOf(following.filter) !== following) return;
    const subscription = following.subscription!;
    for (const gap of subscription.startGaps.slice(1)) this.notify({ kind: 'gap', subscription, gap });
    subscription.start();
  }

  /**
   * A filter begins before the place that the peer is at, so cursors will run over the same ground again. Where it is
   * must be known exactly then, so what was sent has to have arrived.
   */
  async #turnBack(following: Following): Promise<void> {
    const at = this.#offset;
    const { engine } = this.#socket;
    const channel = typeof this.#last === 'object' ? this.#last.channel : undefined;
    await engine.confirmed();
    if (!engine.isOpen) throw new EverywireError('going_away', 'The connection ended while it subscribed.');
    for (const other of this.#followings) other.floor = laterOf(other.floor, at);
    const filter = parseFilter(following.filter, this.#parts.host.limits);
    this.#turn = { at, isUnclear: channel === undefined || matches(filter, channel) };
  }

  async #unsubscribe(name: string): Promise<Answer> {
    const { host, channelPrefix } = this.#parts;
    const filter = nameInNamespace(name, channelPrefix, host.limits);
    const following = this.#followingOf(filter);
    const membership = this.#memberships?.find(filter);
    if (following === undefined && membership === undefined) {
      throw new EverywireError('not_found', 'This connection does not follow that channel or filter.');
    }
    if (following !== undefined) this.#stopFollowing(following);
    if (membership !== undefined) this.#memberships?.leave(membership);
    await this.save();
    return okAnswer;
  }

  #fromOf({ after, since }: Command & { op: 'subscribe' }, nowMs: number): From | undefined {
    if (after !== undefined) return { after };
    if (since !== undefined) return { since: parseSince(since, nowMs) };
    return this.#after === undefined ? undefined : { after: this.#after };
  }

  async #answer(event: IoEvent, result: Promise<Answer>): Promise<void> {
    try {
      const { item, start } = await result;
      if (event.ackId !== undefined) this.#socket.acknowledge(event.ackId, [item]);
      start?.();
    } catch (caught) {
      this.#refuse(event, caught);
    }
  }

  #refuse(event: IoEvent, caught: unknown): void {
    const error = refusalOf(caught, this.#parts.host.log, 'a Socket.IO event failed');
    if (event.ackId === undefined) this.#tell(errorItems(error, event.name));
    else this.#socket.acknowledge(event.ackId, [refusedItem(error)]);
  }

  /** An event of the server's own. As in every event, a cursor comes last: clients keep the last string. */
  #tell(items: readonly string[]): void {
    const offset = this.#offset;
    this.#last = offset;
    this.hasNews = true;
    this.#socket.emit([...items, JSON.stringify(offset)]);
  }

  /** The place that the peer has: with it, it can come back and miss nothing. */
  get #offset(): string {
    const { cursor } = this;
    if (cursor !== undefined) return cursor;
    const floors = this.#followings.map(({ floor }) => floor).filter((floor) => floor !== '');
    if (floors.length === 0) return formatCursor(this.#parts.host.hub.head);
    return floors.reduce((left, right) => (seqOf(left) <= seqOf(right) ? left : right));
  }
}

function isOfGroup({ tag }: Subscription): boolean {
  return tag instanceof Membership;
}
