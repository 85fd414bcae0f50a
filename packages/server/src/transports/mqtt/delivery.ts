import { formatCursor, parseCursor, toEverywireError, gapNotice, type From } from '@everywire/protocol';
import type { Batch } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { MqttClient } from './client.ts';
import type { InFlight, MqttSubscription, SessionState } from './state.ts';
import { gapTopic } from './targets.ts';
import { reasonCodes } from '@everywire/wires/mqtt';
import { deliveryQos } from './convert.ts';
import { encodeAgain, encodePublish, flightOf, formatFor } from './encoding.ts';
import { fillPacketIds } from './format.ts';
import { RetainedRuns, type RetainedDelivery } from './retained.ts';

/** Messages per read when a message is searched from the millisecond of its publish: others of that time come before it. */
const lookedThroughMessages = 16;
/** Above this number of unsent notices, only the last one is kept. */
const gapsMax = 16;

/** The deliveries to the client: the hub passes batches in, and the client's acknowledgements free the packets in flight. */
export class Delivery implements RetainedDelivery {
  readonly #client: MqttClient;
  /** The positions were recorded: the client receives nothing more. */
  #isClosed = false;
  /** The link takes no bytes. */
  #isFull = false;
  /** The number of running writes of packet ids that PUBLISHes wait for. */
  #saves = 0;
  /** The hub holds its deliveries, because this object asked it to. */
  #isHolding = false;
  /** Made for the first subscription that asks for them. */
  #retained: RetainedRuns | undefined;
  /** The messages whose PUBREC came since the last `settle`. */
  #released: InFlight[] | undefined;
  #hasProgressed = false;
  #whenDrained: PromiseWithResolvers<undefined> | undefined;

  constructor(client: MqttClient) {
    this.#client = client;
  }

  get #state(): SessionState {
    return this.#client.opened!.state;
  }

  get #isPersistent(): boolean {
    return this.#client.opened!.isPersistent;
  }

  /** The hub passes a batch. Returns false to hold. */
  deliver(batch: Batch, core: Subscription): boolean {
    if (this.#isClosed) return false;
    const takesMore = this.#hand(batch, core);
    if (!takesMore) this.#isHolding = true;
    return takesMore;
  }

  gap(core: Subscription, gap: Gap): void {
    this.tellGaps(core.tag as MqttSubscription, [gap]);
  }

  /** MQTT 5: with the next PUBLISH. Earlier versions have no properties, so they get a PUBLISH on `gapTopic`. */
  tellGaps(subscription: MqttSubscription, gaps: readonly Gap[]): void {
    for (const gap of gaps) {
      const notice = gapNotice(gap);
      if (this.#client.version === 5) {
        subscription.gaps = [...(subscription.gaps ?? []), notice].slice(-gapsMax);
        continue;
      }
      this.#client.answer({
        type: 'publish',
        topic: gapTopic,
        payload: Buffer.from(JSON.stringify({ filter: subscription.filter, ...notice })),
        qos: 0,
        retain: false,
        dup: false,
        packetId: 0,
        properties: {},
      });
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#whenDrained?.resolve(undefined);
  }

  drained(): void {
    this.#isFull = false;
    this.#whenDrained?.resolve(undefined);
    this.continueDelivery();
  }

  /** Resolves when the link takes bytes again, or has ended. */
  async #drained(): Promise<void> {
    if (!this.#isFull || this.#isClosed) return;
    this.#whenDrained = Promise.withResolvers<undefined>();
    await this.#whenDrained.promise;
    this.#whenDrained = undefined;
  }

  /** Sends retained messages before anything newer: the subscription starts after them. */
  retain(subscription: MqttSubscription): void {
    this.#retained ??= new RetainedRuns(this.#client, this);
    this.#retained.add(subscription);
  }

  /** Drops its waiting retained messages. Packets in flight still count until the client acknowledges them. */
  forget(subscription: MqttSubscription): void {
    this.#retained?.remove(subscription);
    // The subscriptions that waited behind it continue when the caller is done.
    this.#client.broker.host.clock.turn(() => this.continueDelivery());
  }

  rightsChanged(): void {
    this.#retained?.readAgain();
    this.continueDelivery();
  }

  /** Sends none of its messages of the last connection again, since the client may no longer have the right to them. */
  giveUpAll(subscription: MqttSubscription): void {
    for (const sent of [...this.#state.inFlight.values()])
      if (sent.subscription === subscription && !sent.isReleased) this.#giveUp(sent);
    this.settle();
  }

  puback(packetId: number): boolean {
    const sent = this.#state.inFlight.get(packetId);
    if (sent === undefined) return true;
    if (sent.qos !== 1) return false;
    this.#complete(sent);
    return true;
  }

  /** Returns false if it answers a QoS 1 PUBLISH, which is a protocol error. */
  pubrec(packetId: number, reasonCode: number): boolean {
    const sent = this.#state.inFlight.get(packetId);
    if (sent === undefined) {
      if (reasonCode >= 0x80) return true;
      // The client has a flow that the server does not know; the client may end it (§4.3.3).
      this.#client.answer({
        type: 'pubrel',
        packetId,
        reasonCode: reasonCodes.packetIdentifierNotFound,
        properties: {},
      });
      return true;
    }
    if (sent.qos !== 2) return false;
    if (reasonCode >= 0x80) {
      // The client refused the message, which ends the flow [MQTT-4.3.3-4].
      this.#complete(sent);
      return true;
    }
    if (!sent.isReleased) {
      sent.isReleased = true;
      ackOf(sent);
      forgetExpected(sent);
    }
    this.#released ??= [];
    this.#released.push(sent);
    return true;
  }

  /** Returns false if there was no PUBREL. */
  pubcomp(packetId: number): boolean {
    const sent = this.#state.inFlight.get(packetId);
    if (sent === undefined) return true;
    if (!sent.isReleased) return false;
    this.#state.complete(sent);
    this.#hasProgressed = true;
    return true;
  }

  /** Called after each read: does all work that its acknowledgements allow, once. */
  settle(): void {
    const released = this.#released;
    if (released === undefined && !this.#hasProgressed) return;
    this.#released = undefined;
    this.#hasProgressed = false;
    if (released !== undefined) this.#release(released);
    else if (this.#isPersistent) this.#client.saveSoon();
    // Before other deliveries take the credit.
    if (this.#hasRetained) this.continueDelivery();
    this.#client.session.creditAvailable();
  }

  /**
   * Completes the flows of the last connection (§4.4): sends PUBREL again, and the messages that no subscription
   * delivers again.
   */
  async resume(): Promise<void> {
    const alone: InFlight[] = [];
    for (const sent of this.#state.inFlight.values()) {
      if (sent.isReleased) this.#answerPubrel(sent.packetId);
      else if (sent.origin !== 'log') alone.push(sent);
    }
    for (const sent of alone) {
      const message = await this.#find(sent);
      if (!this.#client.isOpen()) return;
      const bytes = message && encodeAgain(this.#client, message, sent);
      if (bytes === undefined) {
        // The message is gone, or too large for this client now [MQTT-3.1.2-25].
        this.#giveUp(sent);
        continue;
      }
      this.#state.resend(sent);
      this.#client.broker.figures.publishSent += 1;
      if (!this.#send(bytes)) await this.#drained();
      if (!this.#client.isOpen()) return;
    }
    this.settle();
  }

  /** Undefined: the message is gone, or the client no longer has the right to it. */
  async #find(sent: InFlight): Promise<Message | undefined> {
    try {
      return await this.#look(sent);
    } catch (caught) {
      if (toEverywireError(caught).code !== 'forbidden') throw caught;
      return undefined;
    }
  }

  async #look({ origin, channel, seq, timeMs }: InFlight): Promise<Message | undefined> {
    const { session } = this.#client;
    if (origin === 'retained') {
      const [message] = (await session.retained(channel)).messages;
      if (message?.seq === seq) return message;
    }
    let from: From = { since: { kind: 'time', timeMs } };
    // Large messages of one millisecond can fill more than one page.
    for (;;) {
      const { messages, through, more } = await session.read(channel, from, lookedThroughMessages);
      const found = messages.find((message) => message.seq === seq);
      if (found !== undefined || !more || through.seq >= seq) return found;
      from = { after: formatCursor(through) };
    }
  }

  /**
   * The message is gone, by retention or because it expired. At QoS 2 the client may have it already, and would take
   * another message with the same packet id for it, so the server completes the flow.
   */
  #giveUp(sent: InFlight): void {
    if (sent.qos === 1) {
      this.#complete(sent);
      return;
    }
    sent.isReleased = true;
    forgetExpected(sent);
    this.#released ??= [];
    this.#released.push(sent);
  }

  get #isBusy(): boolean {
    return this.#isFull || this.#saves > 0;
  }

  get #hasRetained(): boolean {
    return this.#retained?.isEmpty === false;
  }

  /** Sends all that may be sent now: retained messages first, then deliveries of the hub. */
  continueDelivery(): void {
    while (!this.#isBusy && !this.#isClosed && this.#client.isOpen()) {
      if (this.#hasRetained) {
        if (!this.#retained!.send()) return;
        continue;
      }
      if (this.#isHolding) {
        this.#isHolding = false;
        this.#client.session.drained();
      }
      return;
    }
  }

  #hand(batch: Batch, core: Subscription): boolean {
    const subscription = core.tag as MqttSubscription;
    // Replaced meanwhile: the new one delivers the unacknowledged messages again, from the old position.
    if (subscription.core !== undefined && subscription.core !== core && subscription.isAcknowledged)
      return true;
    if (subscription.gaps !== undefined) return this.#handEach(batch, core, subscription);
    const { qos } = subscription.options;
    if (qos > 0 && (subscription.expected !== undefined || batch.firstSeq <= core.redeliveredThroughSeq))
      return this.#handEach(batch, core, subscription);
    const client = this.#client;
    const encoded = batch.as(formatFor(client, batch, subscription));
    if (encoded.bytes.length > client.packetBytesMax) return this.#handEach(batch, core, subscription);
    const { figures } = client.broker;
    figures.publishSent += batch.messages.length;
    if (qos === 0) return this.#send(encoded.bytes);
    const packetIds: number[] = [];
    let mustSave = false;
    for (const message of batch.messages) {
      const at = deliveryQos(message, qos);
      if (at === 0) {
        core.ack(message.seq, true);
        continue;
      }
      mustSave ||= at === 2;
      packetIds.push(this.#state.send(subscription, flightOf(message, at)).packetId);
    }
    const bytes = packetIds.length === 0 ? encoded.bytes : fillPacketIds(encoded, packetIds);
    return this.sendSaved(bytes, mustSave);
  }

  /** Handles messages one by one: some come again, are too large for this client, or carry a gap notice. */
  #handEach(batch: Batch, core: Subscription, subscription: MqttSubscription): boolean {
    const pieces: Buffer[] = [];
    let mustSave = false;
    for (const message of batch.messages) {
      const qos = deliveryQos(message, subscription.options.qos);
      if (qos === 0) {
        const piece = encodePublish(this.#client, message, subscription, {
          qos,
          dup: false,
          packetId: 0,
        });
        if (piece !== undefined) pieces.push(piece);
        if (subscription.isAcknowledged) core.ack(message.seq, true);
        continue;
      }
      this.#passOver(subscription, message.seq);
      const known = subscription.expected?.get(message.seq);
      if (known?.isOnWire === true) continue;
      const isRepeated = known !== undefined || (qos === 1 && message.seq <= core.redeliveredThroughSeq);
      const sent = known ?? this.#state.send(subscription, flightOf(message, qos));
      const piece = encodePublish(this.#client, message, subscription, {
        qos,
        dup: isRepeated,
        packetId: sent.packetId,
      });
      if (piece === undefined) {
        // Too large for the client, so it counts as delivered [MQTT-3.1.2-25].
        if (known === undefined) this.#state.complete(sent);
        else this.#giveUpSoon(known);
        core.ack(message.seq, true);
        continue;
      }
      if (known !== undefined) this.#state.resend(known);
      forgetExpected(sent);
      pieces.push(piece);
      mustSave ||= qos === 2;
    }
    if (pieces.length === 0) return true;
    this.#client.broker.figures.publishSent += pieces.length;
    return this.sendSaved(pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), mustSave);
  }

  /** The expected messages before this one have expired or are gone from the log. */
  #passOver(subscription: MqttSubscription, seq: number): void {
    if (subscription.expected === undefined) return;
    for (const sent of [...subscription.expected.values()]) {
      if (sent.seq < seq && !sent.isOnWire) this.#giveUpSoon(sent);
    }
  }

  #giveUpSoon(sent: InFlight): void {
    this.#giveUp(sent);
    // Not inside a delivery, since it may cause other deliveries.
    queueMicrotask(() => {
      if (this.#client.isOpen()) this.settle();
    });
  }

  /** After a crash, a QoS 2 message must be known by its packet id, so the id is stored before the message is sent. */
  sendSaved(bytes: Buffer, mustSave: boolean): boolean {
    const client = this.#client;
    if (!this.#isPersistent) return this.#send(bytes);
    if (!mustSave) {
      client.saveSoon();
      return this.#send(bytes);
    }
    this.#saves += 1;
    this.#isHolding = true;
    client.saveNow().then(
      () => {
        this.#saves -= 1;
        if (!client.isOpen()) return;
        this.#send(bytes);
        this.continueDelivery();
      },
      (cause: unknown) => client.fail(cause),
    );
    return false;
  }

  #send(bytes: Buffer): boolean {
    const takesMore = this.#client.send(bytes);
    if (!takesMore) this.#isFull = true;
    return takesMore;
  }

  #complete(sent: InFlight): void {
    this.#state.complete(sent);
    if (!sent.isReleased) ackOf(sent);
    this.#hasProgressed = true;
  }

  #release(released: readonly InFlight[]): void {
    const client = this.#client;
    if (!this.#isPersistent) {
      for (const { packetId } of released) this.#answerPubrel(packetId);
      return;
    }
    client.saveNow().then(
      () => {
        for (const { packetId } of released) this.#answerPubrel(packetId);
      },
      (cause: unknown) => client.fail(cause),
    );
  }

  #answerPubrel(packetId: number): void {
    this.#client.answer({ type: 'pubrel', packetId, reasonCode: reasonCodes.success, properties: {} });
  }
}

/** The seq of a cursor: newer retained messages come from the log. */
export function seqOfCursor(cursor: string): number {
  return parseCursor(cursor)?.seq ?? 0;
}

/** Acknowledges it at its subscription. */
function ackOf(sent: InFlight): void {
  if (sent.origin === 'log') sent.subscription.core?.ack(sent.seq, true);
}

function forgetExpected(sent: InFlight): void {
  const { subscription } = sent;
  if (subscription.expected?.delete(sent.seq) === true && subscription.expected.size === 0) {
    subscription.expected = undefined;
  }
}
