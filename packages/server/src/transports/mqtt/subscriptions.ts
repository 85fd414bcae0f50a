import { EverywireError, toEverywireError, type From } from '@everywire/protocol';
import {
  reasonCodes,
  type AckProperties,
  type FilterRequest,
  type Subscribe,
  type SubscribeProperties,
  type Unsubscribe,
} from '@everywire/wires/mqtt';
import type { Progress, Credit, SubscribeOptions } from '../../core/seams/subscription-api.ts';
import type { MqttClient } from './client.ts';
import { seqOfCursor, type Delivery } from './delivery.ts';
import { reasonString, subackReason } from './reasons.ts';
import type { MqttSubscription, SubscriptionOptions } from './state.ts';
import { propertyOf, readTarget, type Target } from './targets.ts';
import { refusalOf } from '../parts/refusal.ts';

/** User property of SUBSCRIBE: with `on`, deliveries carry their cursor. */
const cursorProperty = 'cursor';

/** SUBSCRIBE and UNSUBSCRIBE of one client, one packet after the other. */
export class Subscriptions {
  readonly #client: MqttClient;
  readonly #delivery: Delivery;

  constructor(client: MqttClient, delivery: Delivery) {
    this.#client = client;
    this.#delivery = delivery;
  }

  /** Answers when the granted subscriptions are durable; their messages follow the answer. */
  async subscribe(packet: Subscribe): Promise<void> {
    const client = this.#client;
    const session = client.opened!;
    const started: MqttSubscription[] = [];
    let reasonCodesOf: number[] = [];
    let detail: string | undefined;
    for (const request of packet.filters) {
      try {
        reasonCodesOf.push(await this.#begin(request, packet.properties, started));
      } catch (caught) {
        const error = refusalOf(caught, client.broker.host.log, 'a SUBSCRIBE failed');
        reasonCodesOf.push(subackReason(error));
        detail ??= reasonString(error);
      }
    }
    if (!client.isOpen()) return;
    try {
      await session.save();
    } catch (caught) {
      const error = toEverywireError(caught);
      detail = reasonString(error);
      reasonCodesOf = reasonCodesOf.map(() => subackReason(error));
      for (const subscription of started.splice(0)) this.end(subscription);
    }
    client.answer({
      type: 'suback',
      packetId: packet.packetId,
      reasonCodes: reasonCodesOf,
      properties: {
        ...(detail === undefined ? {} : { reasonString: detail }),
        ...placesOf(started),
      },
    });
    for (const subscription of started) this.#follow(subscription);
  }

  async unsubscribe(packet: Unsubscribe): Promise<void> {
    const client = this.#client;
    const session = client.opened!;
    const reasonCodesOf = packet.filters.map(({ filter, isWellFormed }) => {
      if (!isWellFormed) return reasonCodes.topicFilterInvalid;
      const subscription = session.state.subscriptions.get(filter);
      if (subscription === undefined) return reasonCodes.noSubscriptionExisted;
      this.end(subscription);
      return reasonCodes.success;
    });
    await session.save();
    client.answer({
      type: 'unsuback',
      packetId: packet.packetId,
      reasonCodes: reasonCodesOf,
      properties: {},
    });
  }

  /** Resumes the session's subscriptions in the order of their start. Checks their rights again (T14). */
  async resume(): Promise<void> {
    const client = this.#client;
    const session = client.opened!;
    for (const subscription of [...session.state.subscriptions.values()]) {
      if (!client.isOpen()) return;
      client.broker.figures.subscriptions += 1;
      if (subscription.target.kind !== 'log') {
        if (this.#maySee(subscription)) this.#follow(subscription);
        else this.end(subscription);
        continue;
      }
      try {
        await this.#start(subscription, undefined, subscription.progress);
      } catch (caught) {
        if (!client.isOpen()) return;
        this.#refuseResumed(subscription, caught);
        continue;
      }
      this.#follow(subscription);
    }
  }

  /** The client has another token: ends the subscriptions to `$SYS` that it does not allow, and returns their filters. */
  judgeSys(): readonly string[] {
    const withdrawn = [...this.#client.opened!.state.subscriptions.values()].filter(
      (subscription) => !this.#maySee(subscription),
    );
    for (const subscription of withdrawn) this.end(subscription);
    return withdrawn.map(({ filter }) => filter);
  }

  /** Removes a subscription that is no longer allowed, with its messages in flight; no other error removes one. */
  #refuseResumed(subscription: MqttSubscription, caught: unknown): void {
    const error = toEverywireError(caught);
    const { comeBack } = error.row;
    if (comeBack !== 'never' && comeBack !== 'without-cursor') throw error;
    const { broker, session } = this.#client;
    const { subject } = session.identity;
    const { isShared, filter } = subscription.target;
    broker.host.log.info({ err: error, subject, filter }, 'a stored subscription is not granted any more');
    this.end(subscription);
    if (isShared) broker.sessions.releaseGroup(filter);
    this.#delivery.giveUpAll(subscription);
  }

  #maySee({ target }: MqttSubscription): boolean {
    if (target.kind !== 'sys') return true;
    try {
      this.#authorizeSys();
      return true;
    } catch {
      return false;
    }
  }

  /** The figures of the broker cover all clients. @throws EverywireError `forbidden` */
  #authorizeSys(): void {
    const { broker, session } = this.#client;
    broker.host.hub.authorizeAdmin(session.identity, 'read $SYS');
  }

  /** Returns the granted QoS, or the reason of the refusal. @throws EverywireError */
  async #begin(
    request: FilterRequest,
    properties: SubscribeProperties,
    started: MqttSubscription[],
  ): Promise<number> {
    if (!request.isWellFormed) return reasonCodes.topicFilterInvalid;
    const { broker, opened, isBridge } = this.#client;
    const { state } = opened!;
    const target = readTarget(request.filter, properties.userProperties, broker.nowMs());
    const options: SubscriptionOptions = {
      qos: request.qos,
      noLocal: request.noLocal || (isBridge && !target.isShared),
      retainAsPublished: request.retainAsPublished || isBridge,
      identifier: properties.subscriptionIdentifiers?.[0],
      withCursor: propertyOf(properties.userProperties, cursorProperty) === 'on',
    };
    const before = state.subscriptions.get(request.filter);
    const reached = before?.core?.cursor;
    const wantsRetained =
      (request.retainHandling === 0 || (request.retainHandling === 1 && before === undefined)) &&
      !target.isShared &&
      target.from === undefined;
    const subscription = before ?? state.add(request.filter, target, options);
    try {
      if (before === undefined) {
        broker.figures.subscriptions += 1;
        await this.#startNew(subscription, target);
      } else {
        await this.#change(before, target, options, wantsRetained);
      }
    } catch (caught) {
      // If its token has expired, the session ends soon and keeps its subscriptions.
      if (before === undefined || toEverywireError(caught).code !== 'unauthorized') this.end(subscription);
      throw caught;
    }
    if (wantsRetained && target.kind === 'log') {
      const throughSeq = seqOfCursor(reached ?? subscription.core!.startCursor);
      subscription.retained = { afterSeq: 0, throughSeq };
    } else if (wantsRetained && target.kind === 'sys') {
      subscription.retained = { afterSeq: 0, throughSeq: 0 };
    }
    started.push(subscription);
    return options.qos;
  }

  async #startNew(subscription: MqttSubscription, { kind, from }: Target): Promise<void> {
    const { limits } = this.#client.broker.host;
    if (kind === 'log') {
      await this.#start(subscription, from, undefined);
      const { isShared, filter } = subscription.target;
      const { opened, broker } = this.#client;
      if (isShared && opened!.holdsGroups) broker.sessions.holdGroup(filter);
      return;
    }
    if (kind === 'sys') this.#authorizeSys();
    if (this.#client.opened!.state.subscriptions.size > limits.subscriptionsMax) {
      throw new EverywireError(
        'quota_exceeded',
        `A connection has at most ${limits.subscriptionsMax} subscriptions.`,
      );
    }
  }

  /**
   * The same filter again: changes the options, without a lost or repeated message (§3.8.4). If the client asks for
   * retained messages again, newer messages wait for them: at QoS 0 because the subscription starts again, otherwise
   * because it has no credit meanwhile.
   */
  async #change(
    subscription: MqttSubscription,
    target: Target,
    options: SubscriptionOptions,
    wantsRetained: boolean,
  ): Promise<void> {
    const { options: before, core } = subscription;
    const isSameFlow =
      target.from === undefined &&
      !(wantsRetained && options.qos === 0) &&
      before.noLocal === options.noLocal &&
      (before.qos === 0) === (options.qos === 0);
    if (isSameFlow || core === undefined) {
      subscription.options = options;
      subscription.format = undefined;
      return;
    }
    const goesOn = target.from === undefined && !target.isShared;
    const progress = goesOn && before.qos > 0 ? core.progress : undefined;
    const from: From | undefined = goesOn ? { after: core.cursor } : target.from;
    this.#client.opened!.state.beginAnew(subscription, progress !== undefined && options.qos > 0);
    subscription.options = options;
    subscription.format = undefined;
    if (target.isShared) {
      // A group without members may end: the new one joins first.
      await this.#start(subscription, from, undefined);
      core.cancel();
    } else {
      core.cancel();
      await this.#start(subscription, from, options.qos > 0 ? progress : undefined);
    }
  }

  async #start(
    subscription: MqttSubscription,
    from: From | undefined,
    progress: Progress | undefined,
  ): Promise<void> {
    const client = this.#client;
    const { options, target } = subscription;
    const { limits } = client.broker.host;
    const isAcknowledged = options.qos > 0;
    const asked: SubscribeOptions = {
      from,
      progress,
      acknowledge: isAcknowledged ? 'peer' : 'delivered',
      ...(isAcknowledged
        ? { windowMessages: limits.mqttInFlightMax, credit: creditOf(subscription, client) }
        : {}),
      ...(options.noLocal ? { echo: false } : {}),
      ...(target.isShared ? { keepGroup: client.opened!.isPersistent } : {}),
      tag: subscription,
    };
    subscription.core = await client.session.subscribe(target.filter, asked);
    this.#delivery.tellGaps(subscription, subscription.core.startGaps);
  }

  /** Starts the delivery after the SUBACK. */
  #follow(subscription: MqttSubscription): void {
    const { broker } = this.#client;
    if (subscription.target.kind === 'sys') {
      broker.sys.add(this.#client, subscription, subscription.retained !== undefined);
      subscription.retained = undefined;
    } else if (subscription.retained !== undefined) {
      this.#delivery.retain(subscription);
    } else {
      subscription.core?.start();
    }
  }

  /** It delivers nothing more; its messages in flight are completed. */
  end(subscription: MqttSubscription): void {
    const { broker, opened } = this.#client;
    if (opened!.state.subscriptions.get(subscription.filter) !== subscription) return;
    opened!.state.remove(subscription.filter);
    opened!.state.detach(subscription);
    const wasFollowing = subscription.core !== undefined;
    subscription.core?.cancel();
    subscription.core = undefined;
    const { isShared, filter } = subscription.target;
    if (isShared && wasFollowing && opened!.holdsGroups) broker.sessions.releaseGroup(filter);
    this.#delivery.forget(subscription);
    broker.figures.subscriptions -= 1;
    if (subscription.target.kind === 'sys') broker.sys.remove(subscription);
  }
}

/** Records all positions before the hub drops them: the session may resume on another connection. */
export function detachAll(client: MqttClient): void {
  const { broker, opened } = client;
  const { state } = opened!;
  state.keepFromGroups();
  broker.figures.subscriptions -= state.subscriptions.size;
  for (const subscription of state.subscriptions.values()) {
    subscription.saved = subscription.progress;
    subscription.core = undefined;
    if (subscription.target.kind === 'sys') broker.sys.remove(subscription);
  }
}

/** Retained messages go first. A group has none, and asks each connection once for all its subscriptions. */
function creditOf(subscription: MqttSubscription, client: MqttClient): Credit {
  if (subscription.target.isShared) return client;
  return new CreditAfterRetained(subscription, client);
}

/** A class, since each subscription has one: an object literal with a getter takes 300 bytes more. */
class CreditAfterRetained implements Credit {
  readonly #subscription: MqttSubscription;
  readonly #client: MqttClient;

  constructor(subscription: MqttSubscription, client: MqttClient) {
    this.#subscription = subscription;
    this.#client = client;
  }

  get available(): number {
    return this.#subscription.retained === undefined ? this.#client.available : 0;
  }
}

/** The starts of the subscriptions that asked for cursors, in order, and whether each start is exact. */
function placesOf(started: readonly MqttSubscription[]): AckProperties {
  const cores = started.flatMap(({ core, options }) =>
    options.withCursor && core !== undefined ? [core] : [],
  );
  if (cores.length === 0) return {};
  const isExact = cores.every(({ startGaps }) => startGaps.length === 0);
  return {
    userProperties: [
      ...cores.map(({ startCursor }) => [cursorProperty, startCursor] as const),
      ['continuity', isExact ? 'exact' : 'gap'],
    ],
  };
}
