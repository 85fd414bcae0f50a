import {
  EverywireError,
  formatCursor,
  noTag,
  parseSince,
  toEverywireError,
  type From,
} from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { Batch } from '../../core/log/batch.ts';
import { isGroupName } from '../../core/groups/name.ts';
import type { DurableHolder } from '../../core/durable/kind.ts';
import type { SubscriptionProgress } from '../../core/durable/progress.ts';
import type { Message } from '../../core/log/message.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { IoEvent } from './application.ts';
import { readCommand, type Command } from './commands.ts';
import { SessionBatch } from './session-batch.ts';
import type { IoSocket } from './io-socket.ts';
import { Membership, Memberships, nameInNamespace } from './membership.ts';
import { ClientSubscriptions, laterOf, seqOf, type ClientSubscription } from './client-subscriptions.ts';
import { SessionRow } from './session-row.ts';
import type { SessionRecords, SessionState } from './records.ts';
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
  /** The close code of the connection when the server drains. */
  readonly drainCode: number;
  /** The prefix of the channels of this namespace: empty, or for example `chat/`. */
  readonly channelPrefix: string;
}

/** The answer to a command, and the start of a subscription after the answer. */
interface Answer {
  readonly item: string;
  readonly start?: () => void;
}

const okAnswer: Answer = { item: okItem };

/** A peer in a namespace: its commands become calls on the hub's session, and deliveries become events. */
export class IoSession implements Sink, DurableHolder {
  readonly pid: string;
  readonly sid: string;
  readonly #parts: SessionParts;
  readonly #socket: IoSocket<IoSession>;
  readonly #row: SessionRow;
  #subscriptions!: ClientSubscriptions;
  /** Once it is a member of a group. */
  #memberships: Memberships | undefined;
  /** The start of subscriptions that name no position. */
  readonly #after: string | undefined;
  /** The cursor that the peer had when it came. */
  cameWith: string | undefined;
  #session!: Session;
  /** The position of the peer after it has received everything that was sent. */
  #last: Message | string | undefined;
  /** The number of batch pieces that wait for a poll, and the last cursor of the pieces that were taken before them. */
  #piecesWaiting = 0;
  #takenCursor: string | undefined;
  /** Something was sent since a poll's answer was last made durable. */
  hasNews = false;
  #hasEnded = false;
  /** Events for the filters that the peer may no longer follow, until they are sent. */
  #denied: (readonly string[])[] | undefined;
  /** Why its session was ended before the answer to the peer. */
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
    this.#row = new SessionRow(parts.records);
  }

  /** Called once, before anything else. */
  begin(session: Session): void {
    this.#session = session;
    this.#subscriptions = new ClientSubscriptions(session, this.#parts.host.limits);
  }

  /** The last cursor that was sent. */
  get cursor(): string | undefined {
    return typeof this.#last === 'object' ? this.#last.cursor : this.#last;
  }

  /** The cursor that the peer has from answered polls. */
  get polledCursor(): string | undefined {
    return this.#piecesWaiting === 0 ? this.cursor : this.#takenCursor;
  }

  get identity(): Identity {
    return this.#session.identity;
  }

  /** Whether the peer can come back to its filters: no other connection has taken the row. */
  get isKept(): boolean {
    return this.#row.isOpen;
  }

  /** Writes the row of a new session. */
  async keep(): Promise<void> {
    await this.#row.open(this.pid, this, this.identity);
    await this.save();
  }

  /**
   * Resumes the peer's filters at its position. Takes the row from the connection that has it, which may be dead without
   * knowing it. Sends nothing before `start`, which also reports the filters that the peer may no longer follow.
   * @param cursor the last cursor that the peer has
   * @returns the gaps at this position
   * @throws EverywireError if the session cannot resume exactly there
   */
  async comeBack(cursor: string | undefined): Promise<readonly Notice[]> {
    const record = await this.#row.open(this.pid, this, this.identity);
    if (record === undefined) throw new EverywireError('not_found', 'The session is gone.');
    this.#last = cursor;
    this.cameWith = cursor;
    if (cursor !== undefined && cursor === record.turnedAt && record.isTurnUnclear === true) {
      throw new EverywireError(
        'bad_cursor',
        'The server cannot know which messages reached the peer; subscribe again.',
      );
    }
    const gaps = await this.#subscriptions.resume(record, cursor, (name, started) =>
      this.#unlessDenied(name, started),
    );
    await Promise.all(
      (record.groups ?? []).map((name) => this.#unlessDenied(name, this.#enter(name, undefined))),
    );
    this.#row.adopt();
    return gaps;
  }

  async #unlessDenied<T>(name: string, started: Promise<T>): Promise<T | undefined> {
    try {
      return await started;
    } catch (caught) {
      const error = toEverywireError(caught);
      if (error.code !== 'forbidden') throw error;
      (this.#denied ??= []).push(endedItems(name, error));
      return undefined;
    }
  }

  /** The peer has the answer, so the session may send its messages. */
  start(): void {
    if (this.#expelled !== undefined) {
      this.close({ error: this.#expelled });
      return;
    }
    for (const items of this.#denied ?? []) this.#tell(items);
    if (this.#denied !== undefined) this.#row.saveSoon();
    this.#denied = undefined;
    this.#subscriptions.start();
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

  /** A peer that left on purpose does not come back to its filters; the rows of all others stay. */
  ended(how: 'disconnected' | 'left' | 'lost'): undefined | Promise<void> {
    this.#hasEnded = true;
    this.#subscriptions.clear();
    this.#memberships?.clear();
    this.#session.end();
    if (how === 'disconnected') return this.#row.remove();
    this.#row.release();
    return undefined;
  }

  /** Its peer has another connection. */
  lost(): undefined {
    this.#socket.engine.close(1000, 'session_taken');
  }

  subscriptions(): readonly SubscriptionProgress[] {
    return this.#subscriptions.progress();
  }

  state(): SessionState {
    return {
      sid: this.sid,
      ioNamespace: this.#socket.ioNamespace,
      groups: this.#memberships?.names,
      ...this.#subscriptions.turn,
    };
  }

  rights(): Pick<Identity, 'isAdmin' | 'claims'> {
    const { isAdmin, claims } = this.identity;
    return { isAdmin, claims };
  }

  /** The peer has another connection, which is a member by now: messages for this one would be lost. */
  leaveGroups(): void {
    this.#memberships?.leaveAll();
  }

  deliver(batch: Batch, { tag }: Subscription): boolean {
    if (!(tag instanceof Membership)) {
      if (this.#piecesWaiting === 0) this.#takenCursor = this.cursor;
      this.#last = batch.messages[batch.messages.length - 1]!;
      this.hasNews = true;
      return this.#send(batch, this.#parts.deliveries, true);
    }
    // Without an earlier event the peer has no cursor: each filter starts at its own floor when the peer comes back.
    const place = this.cursor ?? formatCursor({ epoch: this.#parts.host.hub.head.epoch, seq: 0, tag: noTag });
    return this.#send(batch, deliveriesAt(this.#socket.ioNamespace, place), false);
  }

  /** The answer to a poll contains a piece of a batch, which moves the peer to the cursor `place`. */
  pieceTaken(place: string): void {
    this.#piecesWaiting -= 1;
    this.#takenCursor = place;
    this.hasNews = true;
  }

  #send(batch: Batch, deliveries: Deliveries, movesPlace: boolean): boolean {
    const { engine } = this.#socket;
    if (engine.kind === 'websocket') return engine.sendFrames(batch.as(deliveries.websocket).bytes);
    const pieces = SessionBatch.piecesOf(this, batch, deliveries, movesPlace);
    if (movesPlace) this.#piecesWaiting += pieces.length;
    return engine.sendEncoded(pieces);
  }

  notify(notice: Notice): void {
    switch (notice.kind) {
      case 'gap':
        // With one filter the peer resumes behind the gap; with several, another filter may have to resume before it.
        if (this.#subscriptions.count === 1 && !isOfGroup(notice.subscription))
          this.#last = formatCursor(notice.gap.next);
        this.#tell(gapItems(notice.gap));
        break;
      case 'ended':
        // The order must not wait for a filter that has ended.
        if (isOfGroup(notice.subscription)) this.#memberships?.leave(notice.subscription.tag as Membership);
        else this.#subscriptions.stop(notice.subscription.tag as ClientSubscription);
        this.#tell(endedItems(notice.subscription.filter, notice.error));
        this.#row.saveSoon();
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
    // Drops the messages that no poll has fetched. If there are any, the peer's cursor is before them and stays unchanged.
    const isCutShort = engine.discard(this);
    this.#socket.emit([...errorItems(error), ...(isCutShort ? [] : [JSON.stringify(this.#offset)])]);
    // Other namespaces of the connection may have other tokens.
    this.#socket.disconnect();
  }

  /** Writes the row, so that the peer can come back to it. */
  save(): Promise<void> {
    return this.#row.save();
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

  /** A peer may come back to the row with only a session id, so the row must not hold the rights of an expired token. */
  async #refresh(token: string): Promise<Answer> {
    await this.#session.refresh(token);
    this.#row.identity = this.identity;
    await this.save();
    return okAnswer;
  }

  async #subscribe(command: Command & { op: 'subscribe' }): Promise<Answer> {
    const { host, channelPrefix } = this.#parts;
    const filter = nameInNamespace(command.filter, channelPrefix, host.limits);
    if (isGroupName(filter)) return this.#join(filter, this.#fromOf(command, host.clock.nowMs()));
    const known = this.#subscriptions.find(filter);
    if (known?.subscription !== undefined && command.after === undefined && command.since === undefined) {
      // Applications subscribe on every connect, also after a recovery: the existing subscription continues.
      return { item: continuedItem(laterOf(known.floor, this.cursor)) };
    }
    const opened = await this.#subscriptions.open(filter, this.#fromOf(command, host.clock.nowMs()));
    const subscription = opened.subscription!;
    try {
      const { cursor } = this;
      if (cursor !== undefined && seqOf(opened.floor) < seqOf(cursor)) await this.#turnBack(opened);
      this.#subscriptions.add(opened);
      await this.save();
    } catch (caught) {
      this.#subscriptions.stop(opened);
      throw caught;
    }
    const start = (): void => {
      if (this.#subscriptions.find(filter) === opened) this.#start(subscription);
    };
    return { item: subscribedItem(subscription), start };
  }

  /** The group of an existing member continues at its own position, for any `from`. */
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
    const subscription = membership.subscription!;
    const start = (): void => {
      if (this.#memberships?.find(name) === membership) this.#start(subscription);
    };
    return { item: subscribedItem(subscription), start };
  }

  #enter(name: string, from: From | undefined): Promise<Membership> {
    return (this.#memberships ??= new Memberships(this.#session)).enter(name, from);
  }

  /** The answer to the command has been sent, with the first gap in it. */
  #start(subscription: Subscription): void {
    for (const gap of subscription.startGaps.slice(1)) this.notify({ kind: 'gap', subscription, gap });
    subscription.start();
  }

  /**
   * A filter starts before the peer's position, so later cursors will repeat earlier ones. The server must then know the
   * peer's position exactly, so it waits until the peer has received everything that was sent.
   */
  async #turnBack(opened: ClientSubscription): Promise<void> {
    const at = this.#offset;
    const { engine } = this.#socket;
    const channel = typeof this.#last === 'object' ? this.#last.channel : undefined;
    await engine.confirmed();
    if (!engine.isOpen)
      throw new EverywireError('going_away', 'The connection ended before the subscription started.');
    this.#subscriptions.turnBack(opened, at, channel);
  }

  async #unsubscribe(name: string): Promise<Answer> {
    const { host, channelPrefix } = this.#parts;
    const filter = nameInNamespace(name, channelPrefix, host.limits);
    const followed = this.#subscriptions.find(filter);
    const membership = this.#memberships?.find(filter);
    if (followed === undefined && membership === undefined) {
      throw new EverywireError('not_found', 'This connection does not follow that channel or filter.');
    }
    if (followed !== undefined) this.#subscriptions.stop(followed);
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

  /** The position of the peer: with it, the peer can come back and miss nothing. */
  get #offset(): string {
    return this.cursor ?? this.#subscriptions.lowestFloor ?? formatCursor(this.#parts.host.hub.head);
  }
}

function isOfGroup({ tag }: Subscription): boolean {
  return tag instanceof Membership;
}
