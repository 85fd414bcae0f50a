import { EverywireError, parseCursor, parseFrom } from '@everywire/protocol';
import type { Headers, Version } from '@everywire/wires/stomp';
import type { Batch } from '../../core/log/batch.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { SubscribeOptions, Subscription } from '../../core/seams/subscription-api.ts';
import type { Link } from '../../net/link.ts';
import { ClientSubscription, gapHeader, unknownMessage } from './client-subscription.ts';
import type { Acknowledge, Subscribe, Unsubscribe } from './commands.ts';
import { parseDestination, queueFilter, sharedDurable, type Destination } from './destinations.ts';
import { Durables, type DurableOwner } from './durables.ts';
import { encodeOne, parseAckId } from './format.ts';
import type { StompHost } from './limits.ts';
import type { MessageFormats, SharedFormat } from './message-formats.ts';

/** The answer to a frame, and the work after the answer. */
export interface Answer {
  readonly headers: Headers;
  readonly start?: () => void;
}

export const plainAnswer: Answer = { headers: [] };

export interface SubscriptionsOptions {
  readonly shared: {
    readonly host: StompHost;
    readonly formats: MessageFormats;
    readonly durables: Durables;
  };
  readonly session: Session;
  readonly link: Pick<Link<unknown>, 'kind' | 'send'>;
  readonly version: Version;
  /** The subject, for `/user/…` destinations. */
  readonly subject: string | undefined;
  /** The owner of the durable subscriptions that the client may resume; `undefined`: the client named no client id. */
  readonly owner: DurableOwner | undefined;
  /** Another connection resumed one of them. */
  readonly onTakenOver: () => void;
}

/** Ended subscriptions whose late ACKs are still known. */
const endedMax = 64;

/** The subscriptions of one connection, from SUBSCRIBE to UNSUBSCRIBE. */
export class Subscriptions {
  readonly #options: SubscriptionsOptions;
  /** The list is replaced, not changed: most connections have one subscription, and a Map costs four times as much. */
  /** How far the subscriptions were that the client has ended, by key. */
  #ended: Map<string, number> | undefined;
  #all: readonly ClientSubscription[] = [];
  #hasEnded = false;

  constructor(options: SubscriptionsOptions) {
    this.#options = options;
  }

  /** Called before the session ends: releases formats and durable subscriptions. */
  end(): void {
    this.#hasEnded = true;
    for (const followed of this.#all) this.#release(followed);
    this.#all = [];
  }

  /** @throws EverywireError */
  async subscribe(command: Subscribe): Promise<Answer> {
    const destination = parseDestination(command.destination, this.#options.subject);
    const key = command.id ?? keyOfDestination(command.destination);
    if (this.#find(key) !== undefined) {
      throw new EverywireError('conflict', 'This connection already has a subscription with that id.');
    }
    const from = parseFrom(command, this.#options.shared.host.clock.nowMs());
    const followed = this.#add(key, command, destination);
    const options: SubscribeOptions = {
      from,
      tag: followed,
      ...(command.ack === 'auto' ? {} : { acknowledge: 'peer', windowMessages: command.windowMessages }),
    };
    if (destination.isQueue) {
      followed.subscription = await this.#options.session.subscribe(queueFilter(destination.name), {
        ...options,
        from: from ?? { since: { kind: 'earliest' } },
        keepGroup: !command.autoDelete,
      });
    } else if (command.durableName !== undefined) {
      await this.#subscribeDurably(followed, command.durableName, destination.name, options);
    } else {
      followed.subscription = await this.#options.session.subscribe(destination.name, options);
    }
    const { startCursor, startGaps } = followed.subscription!;
    for (const gap of startGaps) followed.addGap(gap);
    const continuity = startGaps.length === 0 ? 'exact' : 'gap';
    const headers: Headers = [
      ['cursor', startCursor],
      ['continuity', continuity],
      ...(startGaps.length === 0 ? [] : [gapHeader(startGaps)]),
    ];
    return { headers, start: () => followed.subscription!.start() };
  }

  #add(
    key: string,
    { id, ack, destination: text }: Subscribe,
    { spelling }: Destination,
  ): ClientSubscription {
    const { formats } = this.#options.shared;
    const hasAck = this.#options.version === '1.2' && ack !== 'auto';
    const shape = { version: this.#options.version, link: this.#options.link.kind, spelling, id, hasAck };
    const followed = new ClientSubscription({
      key,
      // Only in 1.0 may UNSUBSCRIBE name the destination.
      destination: this.#options.version === '1.0' ? text : undefined,
      mode: ack,
      first: formats.take({ ...shape, isRedelivery: false }),
      again: formats.take({ ...shape, isRedelivery: true }),
    });
    this.#all = [...this.#all, followed];
    return followed;
  }

  /** Resumes at the stored position of this name, unless the filter differs or the client gave a start. */
  async #subscribeDurably(
    followed: ClientSubscription,
    name: string,
    filter: string,
    options: SubscribeOptions,
  ): Promise<void> {
    if (this.#options.owner === undefined) {
      // As in RabbitMQ, all clients share the name, and its subscribers share the messages.
      followed.subscription = await this.#options.session.subscribe(sharedDurable(name, filter), {
        ...options,
        keepGroup: true,
      });
      followed.isShared = true;
      return;
    }
    const { durables } = this.#options.shared;
    const key = Durables.keyOf(this.#options.owner, name);
    if (this.#all.some(({ durable }) => durable?.key === key)) {
      throw new EverywireError(
        'conflict',
        'This connection already has a durable subscription with that name.',
      );
    }
    const { session, onTakenOver } = this.#options;
    const { holder, found } = await durables.take(key, filter, session.identity, onTakenOver);
    try {
      this.#checkOpen();
      const progress = found?.filter === filter && options.from === undefined ? found.progress : undefined;
      if (followed.mode === 'auto') followed.againThroughSeq = progress?.deliveredWatermark ?? 0;
      followed.subscription = await session.subscribe(filter, { ...options, progress });
      // Another connection may have taken it over and ended this one.
      this.#checkOpen();
      followed.durable = holder;
    } finally {
      if (followed.durable === undefined) holder.leave();
    }
    await holder.follow(followed.subscription);
  }

  /** A method, not a property, since the value changes during an `await`. */
  #checkOpen(): void {
    if (this.#hasEnded) throw new EverywireError('going_away', 'The connection ended during this operation.');
  }

  async unsubscribe({ id, destination, durableName }: Unsubscribe): Promise<Answer> {
    const followed = this.#findNamed(id, destination);
    if (followed === undefined && (durableName === undefined || this.#options.owner === undefined)) {
      throw new EverywireError('not_found', 'This connection has no such subscription.');
    }
    if (followed !== undefined) this.#drop(followed);
    const { durables, host } = this.#options.shared;
    if (durableName !== undefined) {
      if (this.#options.owner !== undefined)
        await durables.remove(Durables.keyOf(this.#options.owner, durableName));
      else if (followed?.isShared === true) host.hub.forgetGroup(followed.subscription!.filter);
    }
    return plainAnswer;
  }

  #findNamed(id: string | undefined, destination: string | undefined): ClientSubscription | undefined {
    if (id !== undefined) return this.#find(id);
    if (destination === undefined) return undefined;
    return (
      this.#find(keyOfDestination(destination)) ??
      this.#all.find((followed) => followed.destination === destination)
    );
  }

  #find(key: string): ClientSubscription | undefined {
    return this.#all.find((followed) => followed.key === key);
  }

  #drop(followed: ClientSubscription): void {
    this.#all = this.#all.filter((other) => other !== followed);
    this.#release(followed);
    followed.subscription?.cancel();
    this.#ended ??= new Map();
    this.#ended.delete(followed.key);
    this.#ended.set(followed.key, followed.highestSeq);
    if (this.#ended.size > endedMax) this.#ended.delete(this.#ended.keys().next().value!);
  }

  /** Gives back its formats and its durable subscription. Call it before the subscription ends. */
  #release({ first, again, durable }: ClientSubscription): void {
    const { formats } = this.#options.shared;
    formats.release(first);
    formats.release(again);
    durable?.leave();
  }

  /** Finds the message, and returns the function that acknowledges it. @throws EverywireError `not_found` */
  acknowledge(command: Acknowledge): () => void {
    const found = this.#findMessage(command);
    if (found === undefined) return () => undefined;
    const { followed, seq } = found;
    const how = command.op === 'nack' && command.isRequeued ? 'release' : 'ack';
    return () => {
      followed.settle(seq, how);
      followed.durable?.touch();
    };
  }

  /** `undefined`: nothing is left to do, as after UNSUBSCRIBE, which may cross an ACK. @throws EverywireError `not_found` */
  #findMessage({
    id,
    subscription,
    messageId,
  }: Acknowledge): { followed: ClientSubscription; seq: number } | undefined {
    const parsed = id === undefined ? undefined : parseAckId(id);
    const cursor = parsed?.cursor ?? messageId ?? '';
    const key = parsed?.id ?? subscription;
    for (const followed of this.#all) {
      const seq = key === undefined || followed.key === key ? followed.seqOf(cursor) : undefined;
      if (seq !== undefined) return { followed, seq };
    }
    if (this.#isLate(key, parseCursor(cursor)?.seq)) return undefined;
    throw unknownMessage();
  }

  #isLate(key: string | undefined, seq: number | undefined): boolean {
    if (seq === undefined) return false;
    const isOf = (one: string): boolean => key === undefined || one === key;
    if (this.#all.some((followed) => isOf(followed.key) && followed.isSettled(seq))) return true;
    for (const [one, highestSeq] of this.#ended ?? []) if (isOf(one) && seq <= highestSeq) return true;
    return false;
  }

  deliver(batch: Batch, { tag, redeliveredThroughSeq }: Subscription): boolean {
    const followed = tag as ClientSubscription;
    const { link } = this.#options;
    const againThroughSeq = Math.max(redeliveredThroughSeq, followed.againThroughSeq);
    followed.noteDelivered(batch);
    followed.durable?.touch();
    let rest: Batch | undefined = batch;
    let takesMore = true;
    if (followed.gaps !== undefined) {
      const first = batch.messages[0]!;
      const { shape } = formatOf(followed, first.seq, againThroughSeq);
      takesMore = link.send(encodeOne(first, shape, [gapHeader(followed.gaps)]));
      followed.gaps = undefined;
      rest = batch.since(first.seq);
    }
    if (rest === undefined) return takesMore;
    if (rest.firstSeq > againThroughSeq) return link.send(followed.first.encode(rest));
    const fresh = rest.since(againThroughSeq);
    const again = rest.first(rest.messages.length - (fresh?.messages.length ?? 0));
    takesMore = link.send(followed.again.encode(again));
    return fresh === undefined ? takesMore : link.send(followed.first.encode(fresh));
  }
}

function formatOf(followed: ClientSubscription, seq: number, againThroughSeq: number): SharedFormat {
  return seq <= againThroughSeq ? followed.again : followed.first;
}

/** The key of a subscription without an id, which 1.0 allows. A header cannot contain NUL, so no id equals it. */
function keyOfDestination(destination: string): string {
  return `\0${destination}`;
}
