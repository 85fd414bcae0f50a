import { EverywireError, type From } from '@everywire/protocol';
import type { Batch } from '../../packages/server/src/core/log/batch.ts';
import type { Message } from '../../packages/server/src/core/log/message.ts';
import type { Gap } from '../../packages/server/src/core/seams/store.ts';
import type {
  SubscribeOptions,
  Subscription,
} from '../../packages/server/src/core/seams/subscription-api.ts';
import type { Peer } from './peer.ts';
import type { Reader } from './reader.ts';
import type { World } from './world.ts';

type Stage = 'starting' | 'on' | 'off';

interface Flight {
  readonly cursor: string;
  isAcked: boolean;
  /** False from a rewind until it is delivered again. */
  isOut: boolean;
}

/** One subscription, or several in one order. */
interface Followed extends Pick<Subscription, 'startCursor' | 'startGaps'> {
  readonly place: { readonly cursor: string };
  readonly subscriptions: readonly Subscription[];
}

/** One subscription in the life of a reader: from a subscribe to its cancellation, its end, or that of its session. */
export class Reading {
  readonly #world: World;
  readonly #reader: Reader;
  readonly #peer: Peer;
  readonly #options: SubscribeOptions;
  /** Delivered and not passed by the acknowledged position, by seq. */
  readonly #inFlight = new Map<number, Flight>();
  #stage: Stage = 'starting';
  #followed: Followed | undefined;
  /** Subscriptions that have to end by themselves before the reading has. */
  #endsLeft = 1;
  /** Its sink may hear of it. */
  #isStarted = false;
  #batches = 0;

  constructor(world: World, reader: Reader, peer: Peer, from: From | undefined) {
    const { chance } = world;
    const isOrdered = reader.filters.length > 1;
    this.#world = world;
    this.#reader = reader;
    this.#peer = peer;
    this.#options = {
      from,
      tag: this,
      acknowledge: !isOrdered && chance.happens(0.3) ? 'peer' : 'delivered',
      windowMessages: chance.between(1, 20),
      batches: !world.isCalm && chance.happens(0.15) ? chance.between(1, 4) : undefined,
      batchMessagesMax: chance.happens(0.2) ? chance.between(1, 10) : undefined,
      echo: reader.deafTo === undefined,
    };
    peer.readings.add(this);
    const isKnownStart = from !== undefined && 'after' in from;
    if (isKnownStart) reader.begins(from.after, this.#take());
    const subscribing = isOrdered ? this.#subscribeInOrder() : this.#subscribe();
    subscribing.then(
      (followed) => {
        reader.answered(followed, isKnownStart);
        this.#followed = followed;
        if (this.#stage === 'starting') this.#stage = 'on';
        this.#isStarted = this.#stage === 'on';
        for (const subscription of followed.subscriptions) {
          // Whether or not it has left meanwhile: one that ended stays silent.
          if (world.isCalm || chance.happens(0.7)) subscription.start();
          else world.time.after(chance.below(300), () => subscription.start());
        }
      },
      (cause: unknown) => this.#failed(cause),
    );
  }

  async #subscribe(): Promise<Followed> {
    const subscription = await this.#peer.session.subscribe(this.#reader.filters[0]!, this.#options);
    const { startCursor, startGaps } = subscription;
    return { place: subscription, startCursor, startGaps, subscriptions: [subscription] };
  }

  async #subscribeInOrder(): Promise<Followed> {
    const { from, tag, echo, batches, batchMessagesMax } = this.#options;
    const waitingBytesMax = this.#world.chance.pick([0, 500, 5_000, 1_000_000]);
    const order = this.#peer.session.order({ waitingBytesMax, batches, batchMessagesMax });
    const results = await Promise.allSettled(
      this.#reader.filters.map((filter) => this.#peer.session.subscribe(filter, { from, tag, echo, order })),
    );
    const subscriptions = results.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const refused = results.find((one) => one.status === 'rejected');
    if (refused !== undefined) {
      for (const subscription of subscriptions) subscription.cancel();
      throw refused.reason;
    }
    this.#endsLeft = subscriptions.length;
    return { place: order, startCursor: order.cursor, startGaps: order.startGaps, subscriptions };
  }

  get readerName(): string {
    return this.#reader.name;
  }

  get isWindowed(): boolean {
    return this.#options.acknowledge === 'peer';
  }

  delivered(batch: Batch): void {
    const { problems, time } = this.#world;
    const { name } = this.#reader;
    if (this.#stage === 'off') problems.push(`${name} was delivered to after it had left`);
    if (!this.#isStarted) problems.push(`${name} was delivered to before it was started`);
    this.#batches += 1;
    if (this.#batches > (this.#options.batches ?? this.#batches))
      problems.push(`${name} got one batch too many`);
    if (batch.messages.length > (this.#options.batchMessagesMax ?? batch.messages.length))
      problems.push(`${name} got a batch of ${batch.messages.length} messages`);
    const nowMs = time.nowMs();
    for (const message of batch.messages) {
      if (message.expiresAtMs !== undefined && message.expiresAtMs <= nowMs)
        problems.push(`${name} got seq ${message.seq} after its time to live`);
      this.#track(message);
    }
    this.#reader.delivered(batch.messages, this.isWindowed);
    // What a transport shows a peer as its cursor must include all that was handed over.
    if (!this.isWindowed && this.#world.chance.happens(0.2))
      this.#reader.cursor = this.#followed!.place.cursor;
    if (this.#world.isCalm) queueMicrotask(() => this.ackAll());
  }

  gap(gap: Gap): void {
    if (!this.#isStarted)
      this.#world.problems.push(`${this.#reader.name} got a gap notice before it was started`);
    this.#reader.gap(gap);
  }

  /** The hub ended it: its batches are used up. */
  ended(): void {
    this.#endsLeft -= 1;
    if (this.#endsLeft > 0) return;
    if (this.#stage === 'off') this.#world.problems.push(`${this.#reader.name} ended twice`);
    this.leave();
  }

  /** Heartbeats carry a cursor; a reader that comes back with it has missed nothing. */
  heartbeat(): void {
    if (this.#stage === 'on' && !this.isWindowed) this.#reader.cursor = this.#followed!.place.cursor;
  }

  cancel(): void {
    if (this.#stage !== 'on') return;
    this.heartbeat();
    this.leave();
    for (const subscription of this.#followed!.subscriptions) subscription.cancel();
  }

  /** Acks one message, or all up to one. */
  ackSome(): void {
    if (this.#stage !== 'on' || !this.isWindowed) return;
    const waiting = [...this.#inFlight].filter(([, flight]) => isWaiting(flight)).map(([seq]) => seq);
    if (waiting.length === 0) return;
    const seq = this.#world.chance.pick(waiting);
    const isOnly = this.#world.chance.happens(0.4);
    for (const [known, flight] of this.#inFlight)
      if (flight.isOut && (isOnly ? known === seq : known <= seq)) flight.isAcked = true;
    this.#advance();
    this.#followed!.subscriptions[0]!.ack(seq, isOnly);
  }

  ackAll(): void {
    if (this.#stage !== 'on' || !this.isWindowed) return;
    let last = 0;
    for (const [seq, flight] of this.#inFlight) {
      if (!isWaiting(flight)) continue;
      flight.isAcked = true;
      last = Math.max(last, seq);
    }
    this.#advance();
    if (last > 0) this.#followed!.subscriptions[0]!.ack(last);
  }

  rewind(): void {
    if (this.#stage !== 'on' || !this.isWindowed) return;
    if ([...this.#inFlight.values()].some(isWaiting)) {
      this.#reader.begins(this.#reader.cursor!, this.#take());
      for (const flight of this.#inFlight.values()) flight.isOut &&= flight.isAcked;
    }
    this.#followed!.subscriptions[0]!.rewind();
  }

  leave(): void {
    if (this.#stage === 'off') return;
    this.#stage = 'off';
    this.#peer.readings.delete(this);
    this.#reader.left(this);
  }

  /** Acked ahead of the position: need not come again. */
  #take(): readonly number[] {
    return [...this.#inFlight].filter(([, { isAcked }]) => isAcked).map(([seq]) => seq);
  }

  #track(message: Message): void {
    if (!this.isWindowed) return;
    this.#inFlight.set(message.seq, { cursor: message.cursor, isAcked: false, isOut: true });
    const unacked = [...this.#inFlight.values()].filter(isWaiting).length;
    if (unacked > this.#options.windowMessages!)
      this.#world.problems.push(`${this.#reader.name} has ${unacked} unacked in its window`);
  }

  #advance(): void {
    for (const [seq, { cursor, isAcked }] of [...this.#inFlight].sort(([left], [right]) => left - right)) {
      if (!isAcked) break;
      this.#reader.cursor = cursor;
      this.#inFlight.delete(seq);
    }
  }

  #failed(cause: unknown): void {
    const code = cause instanceof EverywireError ? cause.code : undefined;
    if (code !== 'store_unavailable' && code !== 'going_away')
      this.#world.problems.push(`${this.#reader.name} could not subscribe: ${String(cause)}`);
    this.leave();
  }
}

function isWaiting({ isAcked, isOut }: Flight): boolean {
  return isOut && !isAcked;
}
