import type { GapNotice } from '@everywire/protocol';
import type { WireFormat } from '../../core/log/batch.ts';
import type { Progress, Subscription } from '../../core/seams/subscription-api.ts';
import type { Target } from './targets.ts';
import type { Qos } from '@everywire/wires/mqtt';

/**
 * `log`: after a lost connection its subscription delivers it again, and its acknowledgement moves the subscription's
 * position. `retained`: it was sent as the retained message of its channel. `detached`: its subscription is gone or
 * continues elsewhere. The server finds the last two again by their channel.
 */
export type Origin = 'log' | 'retained' | 'detached';

/** A PUBLISH above QoS 0 on its way to the client. */
export interface InFlight {
  readonly packetId: number;
  readonly qos: 1 | 2;
  readonly seq: number;
  readonly subscription: MqttSubscription;
  readonly channel: string;
  /** The time of its publish, to find it in the log. */
  readonly timeMs: number;
  origin: Origin;
  /** QoS 2: PUBREC came; PUBREL has to be sent, or was sent. */
  isReleased: boolean;
  /** The PUBLISH left on this connection, so it counts against the client's receive maximum. */
  isOnWire: boolean;
}

/** The options that the client chose for a subscription. */
export interface SubscriptionOptions {
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly identifier: number | undefined;
  readonly withCursor: boolean;
}

/** Retained messages are sent in the order of their seqs: those above `afterSeq` are not sent yet. */
export interface RetainedPlace {
  afterSeq: number;
  /** Newer messages come from the log. */
  readonly throughSeq: number;
}

/** A subscription of an MQTT session: a subscription of the hub while the client is here, its progress while it is not. */
export class MqttSubscription {
  /** Its number in the rows of its session. */
  readonly no: number;
  /** The filter in the client's own text. */
  readonly filter: string;
  readonly target: Target;
  options: SubscriptionOptions;
  core: Subscription | undefined;
  /** The position to resume from, while there is no `core`. */
  saved: Progress | undefined;
  retained: RetainedPlace | undefined;
  /** The messages in flight when the connection was lost, by seq, until they come again. */
  expected: Map<number, InFlight> | undefined;
  /** Sent with the next PUBLISH. */
  gaps: readonly GapNotice[] | undefined;
  /** Cached, so that its id is not computed for each batch; dropped when the options change. */
  format: WireFormat | undefined;

  constructor(no: number, filter: string, target: Target, options: SubscriptionOptions) {
    this.no = no;
    this.filter = filter;
    this.target = target;
    this.options = options;
  }

  /** Whether the client acknowledges its messages, and its position is kept while the client is away. */
  get isAcknowledged(): boolean {
    return this.options.qos > 0;
  }

  get progress(): Progress | undefined {
    if (!this.isAcknowledged || this.target.kind !== 'log' || this.target.isShared) return undefined;
    return this.core?.progress ?? this.saved;
  }
}

const packetIdMax = 0xffff;
/** Most connections have none. */
const noSubscriptions: ReadonlyMap<string, MqttSubscription> = new Map();
const nothingInFlight: ReadonlyMap<number, InFlight> = new Map();

/**
 * The state of an MQTT session (§4.1): subscriptions, the packets in flight to the client, and the packet ids of
 * received QoS 2 messages. Never a queue. Pure; it makes its maps on demand.
 */
export class SessionState {
  #subscriptions: Map<string, MqttSubscription> | undefined;
  /** In the order in which they were sent. */
  #inFlight: Map<number, InFlight> | undefined;
  /** Each with a checksum of the message, if it came on this connection. */
  #received: Map<number, number | undefined> | undefined;
  #lastPacketId = 0;
  #lastNo = 0;
  #onWire = 0;

  get subscriptions(): ReadonlyMap<string, MqttSubscription> {
    return this.#subscriptions ?? noSubscriptions;
  }

  get inFlight(): ReadonlyMap<number, InFlight> {
    return this.#inFlight ?? nothingInFlight;
  }

  /** PUBLISH packets of this connection that are not completed: the receive maximum limits them (§4.9). */
  get onWire(): number {
    return this.#onWire;
  }

  /** For the rows. */
  get lastPacketId(): number {
    return this.#lastPacketId;
  }

  add(filter: string, target: Target, options: SubscriptionOptions): MqttSubscription {
    this.#lastNo += 1;
    const subscription = new MqttSubscription(this.#lastNo, filter, target, options);
    this.#subscriptions ??= new Map();
    this.#subscriptions.set(filter, subscription);
    return subscription;
  }

  remove(filter: string): void {
    this.#subscriptions?.delete(filter);
  }

  /** Takes a packet id that is not in use [MQTT-2.2.1-4], and records the message for it. */
  send(
    subscription: MqttSubscription,
    { qos, seq, channel = '', timeMs = 0, origin = 'log' }: Pick<InFlight, 'qos' | 'seq'> & Partial<InFlight>,
  ): InFlight {
    this.#inFlight ??= new Map();
    let packetId = this.#lastPacketId;
    do packetId = packetId >= packetIdMax ? 1 : packetId + 1;
    while (this.#inFlight.has(packetId));
    this.#lastPacketId = packetId;
    const sent: InFlight = {
      packetId,
      qos,
      seq,
      subscription,
      channel,
      timeMs,
      origin,
      isReleased: false,
      isOnWire: true,
    };
    this.#inFlight.set(packetId, sent);
    this.#onWire += 1;
    return sent;
  }

  /** Sends a message of a lost connection again, under its packet id. */
  resend(sent: InFlight): void {
    if (sent.isOnWire) return;
    sent.isOnWire = true;
    this.#onWire += 1;
  }

  /** The message is completed or given up, so its packet id is free. */
  complete(sent: InFlight): void {
    if (this.#inFlight?.delete(sent.packetId) !== true) return;
    if (sent.isOnWire) this.#onWire -= 1;
    const { expected } = sent.subscription;
    if (expected?.delete(sent.seq) === true && expected.size === 0) sent.subscription.expected = undefined;
  }

  /**
   * The subscription starts again. With `isContinued` it delivers the messages in flight once more, and the state finds
   * them by their seq. Otherwise they are detached from it.
   */
  beginAnew(subscription: MqttSubscription, isContinued: boolean): void {
    subscription.expected = undefined;
    for (const sent of this.inFlight.values()) {
      if (sent.subscription !== subscription || sent.origin !== 'log' || sent.isReleased) continue;
      if (isContinued) expect(sent);
      else sent.origin = 'detached';
    }
  }

  /** The subscription ends; its messages in flight are completed [MQTT-3.10.4-3]. */
  detach(subscription: MqttSubscription): void {
    this.beginAnew(subscription, false);
  }

  /**
   * The client is gone. A message that a group gave it at QoS 2 stays with its session, and is dropped when the session ends
   * [MQTT-4.8.2-4, -5]. So for the group this message is acknowledged. A message at QoS 1 goes to another member.
   */
  keepFromGroups(): void {
    for (const sent of [...this.inFlight.values()]) {
      if (!sent.subscription.target.isShared || sent.origin !== 'log' || sent.isReleased) continue;
      if (sent.qos === 2) {
        sent.subscription.core?.ack(sent.seq, true);
        sent.origin = 'detached';
      } else {
        this.complete(sent);
      }
    }
  }

  /** Restores the state from the rows. */
  restore(
    subscriptions: readonly MqttSubscription[],
    sent: readonly Omit<InFlight, 'isOnWire'>[],
    received: readonly number[],
    lastPacketId: number,
  ): void {
    this.#subscriptions = new Map();
    this.#inFlight = new Map();
    for (const subscription of subscriptions) {
      this.#subscriptions.set(subscription.filter, subscription);
      this.#lastNo = Math.max(this.#lastNo, subscription.no);
    }
    for (const one of sent) {
      const restored: InFlight = { ...one, isOnWire: false };
      this.#inFlight.set(one.packetId, restored);
      if (!one.isReleased && one.origin === 'log') expect(restored);
    }
    if (received.length > 0) this.#received = new Map(received.map((packetId) => [packetId, undefined]));
    this.#lastPacketId = lastPacketId;
  }

  /** Whether a QoS 2 PUBLISH with this id came without a PUBREL since. */
  hasReceived(packetId: number): boolean {
    return this.#received?.has(packetId) ?? false;
  }

  get receivedCount(): number {
    return this.#received?.size ?? 0;
  }

  receive(packetId: number, checksum: number): void {
    this.#received ??= new Map();
    this.#received.set(packetId, checksum);
  }

  /** Whether the earlier PUBLISH with this id was the same message, as far as known. */
  isRepeated(packetId: number, checksum: number): boolean {
    const known = this.#received?.get(packetId);
    return known === undefined || known === checksum;
  }

  release(packetId: number): void {
    if (this.#received?.delete(packetId) === true && this.#received.size === 0) this.#received = undefined;
  }
}

/** It will be delivered again: its subscription finds it by its seq, and it keeps its packet id. */
function expect(sent: InFlight): void {
  const { subscription } = sent;
  subscription.expected ??= new Map();
  subscription.expected.set(sent.seq, sent);
}
