import { Batch } from '../../core/log/batch.ts';
import { estimateBytes, type Message } from '../../core/log/message.ts';
import type { MqttClient } from './client.ts';
import { deliveryQos } from './convert.ts';
import { flightOf, formatFor } from './encoding.ts';
import { fillPacketIds, packetBytes } from './format.ts';
import type { MqttSubscription } from './state.ts';

/** The retained messages that one subscription still has to receive. */
interface RetainedRun {
  readonly subscription: MqttSubscription;
  /** `undefined` until they are read. */
  messages: readonly Message[] | undefined;
  isReading: boolean;
  at: number;
  /** Everything up to here was read; `Infinity`: nothing follows. */
  readThroughSeq: number;
}

/** The sender of retained messages. */
export interface RetainedDelivery {
  /** Some messages were read and can be sent. */
  continueDelivery(): void;
  /** Sends PUBLISHes; those of QoS 2 once their packet ids are stored. */
  sendSaved(bytes: Buffer, mustSave: boolean): boolean;
}

/** The retained messages for one connection, subscription by subscription. */
export class RetainedRuns {
  readonly #client: MqttClient;
  readonly #delivery: RetainedDelivery;
  #runs: RetainedRun[] | undefined;

  constructor(client: MqttClient, delivery: RetainedDelivery) {
    this.#client = client;
    this.#delivery = delivery;
  }

  get isEmpty(): boolean {
    return this.#runs === undefined;
  }

  /** Adds a subscription. Its retained messages come before anything newer: the subscription starts after them. */
  add(subscription: MqttSubscription): void {
    // The client asked again before all were sent, so the run starts again.
    const others = this.#runs?.filter((run) => run.subscription !== subscription) ?? [];
    const run: RetainedRun = {
      subscription,
      messages: undefined,
      isReading: false,
      at: 0,
      readThroughSeq: 0,
    };
    this.#runs = [...others, run];
    this.#read(this.#runs[0]!);
  }

  /** The waiting messages were read under earlier rights, so they are read again. */
  readAgain(): void {
    for (const run of this.#runs ?? []) run.messages = undefined;
  }

  /** One after the other, each in a separate turn: a client may ask for all retained messages with hundreds of filters at once. */
  #read(run: RetainedRun): void {
    if (run.isReading || run.messages !== undefined) return;
    run.isReading = true;
    this.#client.broker.host.clock.turn(() => {
      if (this.#runs?.includes(run) === true) this.#readNow(run);
    });
  }

  /**
   * Reads one page. The rest is read after it was sent, so that a subscription to everything does not hold everything
   * in memory.
   */
  #readNow(run: RetainedRun): void {
    const { session } = this.#client;
    const { target, retained } = run.subscription;
    session.retained(target.filter, retained!.afterSeq).then(
      ({ messages, throughSeq }) => {
        if (this.#runs?.includes(run) !== true) return;
        run.isReading = false;
        run.messages = messages.filter(({ seq }) => seq <= retained!.throughSeq);
        run.readThroughSeq = throughSeq;
        run.at = 0;
        this.#delivery.continueDelivery();
      },
      (cause: unknown) => {
        if (this.#runs?.includes(run) === true) this.#client.fail(cause);
      },
    );
  }

  /** Drops its waiting retained messages. */
  remove(subscription: MqttSubscription): void {
    const left = this.#runs?.filter((run) => run.subscription !== subscription);
    this.#runs = left?.length === 0 ? undefined : left;
  }

  /** Sends as many as the credit allows. False: the first run waits, or there is no run. */
  send(): boolean {
    const run = this.#runs?.[0];
    if (run === undefined) return false;
    const { subscription, messages } = run;
    if (messages === undefined) {
      this.#read(run);
      return false;
    }
    if (run.at >= messages.length) {
      const { retained } = subscription;
      if (run.readThroughSeq < retained!.throughSeq) {
        retained!.afterSeq = run.readThroughSeq;
        run.messages = undefined;
        this.#read(run);
        return false;
      }
      subscription.retained = undefined;
      this.remove(subscription);
      subscription.core?.start();
      this.#client.session.creditAvailable();
      if (this.#client.opened!.isPersistent) this.#client.saveSoon();
      return true;
    }
    const count = this.#countFitting(run);
    if (count === 0) return false;
    const part = messages.slice(run.at, run.at + count);
    run.at += count;
    subscription.retained!.afterSeq = part.at(-1)!.seq;
    const pieces: Buffer[] = [];
    let mustSave = false;
    for (const message of part) {
      const batch = new Batch([message]);
      const encoded = batch.as(formatFor(this.#client, batch, subscription, 'retained'));
      if (packetBytes(encoded, 0, this.#client.link.kind) > this.#client.packetBytesMax) continue;
      const qos = deliveryQos(message, subscription.options.qos);
      if (qos === 0) {
        pieces.push(encoded.bytes);
        continue;
      }
      mustSave ||= qos === 2;
      const sent = this.#client.opened!.state.send(subscription, {
        ...flightOf(message, qos),
        origin: 'retained',
      });
      pieces.push(fillPacketIds(encoded, [sent.packetId]));
    }
    if (pieces.length === 0) return true;
    this.#client.broker.figures.publishSent += pieces.length;
    this.#delivery.sendSaved(Buffer.concat(pieces), mustSave);
    return true;
  }

  #countFitting({ messages, at, subscription }: RetainedRun): number {
    const { available, broker } = this.#client;
    const { batchBytesMax } = broker.host.limits;
    const countMax = subscription.isAcknowledged ? available : Number.POSITIVE_INFINITY;
    let bytes = 0;
    let count = 0;
    while (at + count < messages!.length && count < countMax) {
      bytes += estimateBytes(messages![at + count]!);
      if (count > 0 && bytes > batchBytesMax) break;
      count += 1;
    }
    return Math.max(0, count);
  }
}
