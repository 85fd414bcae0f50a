import { isUtf8 } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { PublishDraft, Published, PublishEntry, PublishResult } from '../../core/seams/session-api.ts';
import type { MqttClient } from './client.ts';
import { disconnectReason, pubackReason, reasonString } from './reasons.ts';
import { isBridgeState, propertyOf } from './targets.ts';
import { reasonCodes, type AckProperties, type Publish, type Pubrel } from '@everywire/wires/mqtt';
import { draftOf } from './convert.ts';
import { refusalOf } from '../parts/refusal.ts';

/** User property of a PUBLISH: the publish id. The acknowledgement has the position of the message, also for a repetition. */
const keyProperty = 'everywire-key';
/** User property of a PUBLISH: the event name, as in deliveries. */
const eventProperty = 'everywire-event';

/** A received and unanswered PUBLISH. */
interface Pending {
  readonly packetId: number;
  readonly qos: 0 | 1 | 2;
  readonly hasKey: boolean;
  /** A name that begins with `$`, to which no client may publish. */
  readonly isServerName: boolean;
  /** The memory that it holds until it is answered. */
  readonly bytes: number;
  /** Undefined until it is known. */
  reasonCode: number | undefined;
  properties: AckProperties;
}

const nothing: AckProperties = {};
const empty = Buffer.alloc(0);
/** The approximate memory of one besides its payload: name, properties, and the object itself. */
const pendingBytes = 200;

/** The publishes of the client: passes PUBLISH packets to the hub, and sends the answers in the order of the requests. */
export class Publishing {
  readonly #client: MqttClient;
  #aliases: Map<number, string> | undefined;
  /** The PUBLISH packets of one read, which go to the hub together. */
  #entries: PublishEntry[] = [];
  #entriesOf: Pending[] = [];
  /** In order of arrival [MQTT-4.6.0-2, -3]. */
  #pending: Pending[] = [];
  #answered = 0;
  #qos1Pending = 0;
  #isAnswerDue = false;
  /** The answer to the last PUBLISH can carry an error. */
  #isAnswerable = true;
  /** Packet ids whose PUBREL came since the last `flush`. */
  #released: number[] = [];

  constructor(client: MqttClient) {
    this.#client = client;
  }

  /** The connection must not read until some are answered, or for some time. */
  get mustWait(): boolean {
    return this.#isAtReceiveMax || this.#isAhead;
  }

  /** The protocol cannot tell this client that it publishes too fast. So the server reads more slowly: no message is lost, and the client stays connected. */
  get #isAhead(): boolean {
    if (this.#isAnswerable) return false;
    const { session, broker, pacer } = this.#client;
    const waitMs = session.publishWaitMs;
    if (waitMs <= 0) return false;
    pacer.holdWhile(() => session.publishWaitMs, broker.host.clock);
    return true;
  }

  /**
   * The client has as many unanswered messages as it may, and the store still works on some of them. The server stops
   * reading instead of closing, because this client only writes faster than the disk (§4.9).
   */
  get #isAtReceiveMax(): boolean {
    const { version, opened, broker, pacer } = this.#client;
    if (version !== 5 || pacer.isIdle) return false;
    return this.#qos1Pending + opened!.state.receivedCount >= broker.host.limits.mqttReceiveMax;
  }

  /** Takes a PUBLISH; an invalid one ends the connection. */
  receive(packet: Publish): void {
    const client = this.#client;
    const { version, opened, broker } = client;
    const { qos, packetId, payload, properties, oversizeBytes } = packet;
    broker.figures.publishReceived += 1;
    broker.figures.publishBytesReceived += payload.length;
    const topic = version === 5 ? this.#resolve(packet) : packet.topic;
    if (topic === undefined) return;
    this.#isAnswerable = version === 5 && qos > 0;
    const { state } = opened!;
    const checksum = qos === 2 ? crc32(payload, crc32(topic)) : 0;
    if (qos > 0 && state.hasReceived(packetId)) {
      // The first one is stored, or will be: its answer is also the answer to this one [MQTT-4.3.3-10].
      const isRepeated = qos === 2 && (packet.dup || state.isRepeated(packetId, checksum));
      if (isRepeated || version === 5) {
        if (qos === 1) this.#qos1Pending += 1;
        this.#add(packet, false).reasonCode = isRepeated
          ? reasonCodes.success
          : reasonCodes.packetIdentifierInUse;
        this.#answerSoon();
        return;
      }
    }
    const { mqttReceiveMax, mqttUnreleasedMax } = broker.host.limits;
    const isOverReceiveMax = qos > 0 && version === 5 && state.receivedCount >= mqttReceiveMax;
    // To stop reading would not help, because only the client's PUBRELs lower the number.
    const isOverUnreleased =
      qos === 2 && version !== 5 && state.receivedCount >= mqttUnreleasedMax && !state.hasReceived(packetId);
    if (isOverReceiveMax || isOverUnreleased) {
      client.refuse(
        reasonCodes.receiveMaximumExceeded,
        'There are more PUBLISH packets than the receive maximum.',
      );
      return;
    }
    if (properties.payloadFormatIndicator === 1 && !isUtf8(payload)) {
      this.#refuse(
        packet,
        reasonCodes.payloadFormatInvalid,
        'The payload is not UTF-8, but its payload format says so.',
      );
      return;
    }
    if (isBridgeState(topic)) {
      this.#acknowledge(packet);
      return;
    }
    const key = version === 5 ? propertyOf(properties.userProperties, keyProperty) : undefined;
    const given = draftOf(packet);
    const event = version === 5 ? propertyOf(properties.userProperties, eventProperty) : undefined;
    const draft: PublishDraft = key === undefined && event === undefined ? given : { ...given, key, event };
    if (qos === 0 || version !== 5) {
      const error = this.#refusalOf(topic, draft);
      const isTooLarge = error?.code === 'too_large' || (error === undefined && oversizeBytes !== undefined);
      if (isTooLarge && version !== 5) {
        this.#drop(packet, oversizeBytes ?? payload.length);
        return;
      }
      if (error !== undefined) {
        this.#refuseFatally(topic, error);
        return;
      }
    }
    const pending = this.#add(packet, key !== undefined);
    if (qos === 1) this.#qos1Pending += 1;
    if (qos === 2) {
      state.receive(packetId, checksum);
      if (opened!.isPersistent) {
        this.#store(topic, draft, pending);
        return;
      }
    }
    this.#entries.push({ channel: topic, draft });
    this.#entriesOf.push(pending);
  }

  /** There is no answer that can carry an error, so a refusal closes the connection, before any later packet is read. */
  #refuseFatally(topic: string, error: EverywireError): void {
    const reasonCode = topic.startsWith('$') ? reasonCodes.notAuthorized : disconnectReason(error);
    this.#client.refuse(reasonCode, reasonString(error));
  }

  #refusalOf(topic: string, draft: PublishDraft): EverywireError | undefined {
    try {
      this.#client.session.checkPublish(topic, draft);
      return undefined;
    } catch (refusal) {
      return toEverywireError(refusal);
    }
  }

  /**
   * Acknowledges a message that is too large, and drops it. The server cannot report an error to such a client: it may
   * only acknowledge or close (§3.3.5), and after a close the client would connect and send the same message again,
   * without end. Mosquitto does the same.
   */
  #drop(packet: Publish, bytes: number): void {
    const { broker, opened } = this.#client;
    broker.figures.publishDropped += 1;
    broker.refusals.info(
      { client: opened!.clientId, topic: packet.topic, bytes },
      'an MQTT message was too large: it was acknowledged and dropped (limits.payloadBytesMax)',
    );
    this.#acknowledge(packet);
  }

  /** Answers as if the message were stored. */
  #acknowledge(packet: Publish): void {
    if (packet.qos === 0) return;
    this.#add({ ...packet, payload: empty }, false).reasonCode = reasonCodes.success;
    if (packet.qos === 1) this.#qos1Pending += 1;
    this.#answerSoon();
  }

  /** The client will not send the message again, so its packet id is free. */
  release({ packetId }: Pubrel): void {
    const { state } = this.#client.opened!;
    if (!state.hasReceived(packetId)) {
      const reasonCode = reasonCodes.packetIdentifierNotFound;
      this.#client.answer({ type: 'pubcomp', packetId, reasonCode, properties: nothing });
      return;
    }
    this.#released.push(packetId);
  }

  /** Passes the packets of one read to the hub. */
  flush(): void {
    this.#flushEntries();
    if (this.#released.length > 0) this.#flushReleased();
  }

  /** Resolves a topic alias (§3.3.2.3.4). Undefined: the connection was closed. */
  #resolve({ topic, properties: { topicAlias } }: Publish): string | undefined {
    if (topicAlias === undefined) return topic;
    if (topicAlias > this.#client.broker.host.limits.mqttTopicAliasMax) {
      this.#client.refuse(reasonCodes.topicAliasInvalid, 'The topic alias is above the topic alias maximum.');
      return undefined;
    }
    if (topic !== '') {
      this.#aliases ??= new Map();
      this.#aliases.set(topicAlias, topic);
      return topic;
    }
    const known = this.#aliases?.get(topicAlias);
    if (known === undefined) {
      this.#client.refuse(reasonCodes.protocolError, 'The topic alias was not set on this connection.');
    }
    return known;
  }

  #add({ packetId, qos, topic, payload }: Publish, hasKey: boolean): Pending {
    const pending: Pending = {
      packetId,
      qos,
      hasKey,
      isServerName: topic.startsWith('$'),
      bytes: pendingBytes + payload.length,
      reasonCode: undefined,
      properties: nothing,
    };
    this.#pending.push(pending);
    this.#client.pacer.begin(pending.bytes);
    return pending;
  }

  #flushEntries(): void {
    if (this.#entries.length === 0) return;
    const entries = this.#entries;
    const pending = this.#entriesOf;
    this.#entries = [];
    this.#entriesOf = [];
    this.#client.session.publishAll(entries).then(
      (results) => this.#settle(pending, results),
      (cause: unknown) => {
        const error = toEverywireError(cause);
        this.#settle(
          pending,
          pending.map(() => error),
        );
      },
    );
  }

  /** The packet id is stored in the same transaction, so that a crash cannot separate the two. */
  #store(topic: string, draft: PublishDraft, pending: Pending): void {
    this.#flushEntries();
    this.#publishWithId(topic, draft, pending).then(
      (published) => this.#settle([pending], [published]),
      (cause: unknown) => this.#settle([pending], [toEverywireError(cause)]),
    );
  }

  async #publishWithId(topic: string, draft: PublishDraft, { packetId }: Pending): Promise<Published> {
    const { session, opened } = this.#client;
    return session.publish(topic, draft, opened!.receiving(packetId));
  }

  #settle(pending: readonly Pending[], results: readonly PublishResult[]): void {
    for (const [at, one] of pending.entries()) {
      const result = results[at]!;
      if (result instanceof EverywireError) this.#refused(one, result);
      else this.#accepted(one, result);
    }
    // A PUBREC goes before the delivery of the client's own message and a PUBACK after it, as clients of Mosquitto
    // expect.
    if (pending.some(({ qos }) => qos === 2)) this.answer();
    else this.#answerSoon();
  }

  #accepted(pending: Pending, published: Published): void {
    if (pending.hasKey) pending.properties = { userProperties: receiptOf(published) };
    pending.reasonCode = reasonCodes.success;
  }

  #refused(pending: Pending, error: EverywireError): void {
    const client = this.#client;
    const { opened, version } = client;
    refusalOf(error, client.broker.host.log, 'a PUBLISH failed');
    if (pending.qos === 2) opened!.state.release(pending.packetId);
    pending.reasonCode = pending.isServerName ? reasonCodes.notAuthorized : pubackReason(error);
    pending.properties = { reasonString: reasonString(error) };
    if (pending.qos === 0) {
      const isTemporary = error.row.comeBack === 'later';
      if (!isTemporary) client.refuse(disconnectReason(error), reasonString(error));
    } else if (version !== 5) {
      client.refuse(disconnectReason(error), reasonString(error));
    }
  }

  /** A refusal before the hub sees the message. */
  #refuse(packet: Publish, reasonCode: number, detail: string): void {
    if (packet.qos === 0) {
      this.#client.refuse(reasonCode, detail);
      return;
    }
    const pending = this.#add(packet, false);
    if (packet.qos === 1) this.#qos1Pending += 1;
    pending.reasonCode = reasonCode;
    pending.properties = { reasonString: detail };
    this.#answerSoon();
  }

  /**
   * After the hub's deliveries of this turn, so that a client receives its own message before the acknowledgement, and
   * answers of one turn leave together.
   */
  #answerSoon(): void {
    if (this.#isAnswerDue) return;
    this.#isAnswerDue = true;
    this.#client.broker.atEndOfTurn(this);
  }

  /** Sends the known answers, from the oldest on. */
  answer(): void {
    this.#isAnswerDue = false;
    const client = this.#client;
    const pending = this.#pending;
    let answered = 0;
    let bytesAnswered = 0;
    while (this.#answered < pending.length) {
      const { packetId, qos, bytes, reasonCode, properties } = pending[this.#answered]!;
      if (reasonCode === undefined) break;
      this.#answered += 1;
      answered += 1;
      bytesAnswered += bytes;
      if (qos === 1) {
        this.#qos1Pending -= 1;
        client.answer({ type: 'puback', packetId, reasonCode, properties });
      } else if (qos === 2) {
        client.answer({ type: 'pubrec', packetId, reasonCode, properties });
      }
    }
    if (this.#answered * 2 >= pending.length) {
      this.#pending = pending.slice(this.#answered);
      this.#answered = 0;
    }
    // After the answers, because waiting work may then read more, or send its own answer.
    if (answered > 0) client.pacer.end(bytesAnswered, answered);
    client.resume();
  }

  #flushReleased(): void {
    const client = this.#client;
    const { opened, broker } = client;
    const released = this.#released;
    this.#released = [];
    const complete = (): void => {
      for (const packetId of released) {
        opened!.state.release(packetId);
        client.answer({
          type: 'pubcomp',
          packetId,
          reasonCode: reasonCodes.success,
          properties: nothing,
        });
      }
    };
    if (!opened!.isPersistent) {
      complete();
      return;
    }
    // If the id were still stored after a crash, the server would take the next message with this id for the earlier
    // one.
    opened!.release(released, broker.host.records).then(complete, (cause: unknown) => client.fail(cause));
  }
}

function receiptOf({ offset, cursor, id, duplicate }: Published): readonly (readonly [string, string])[] {
  return [
    ['offset', String(offset)],
    ['cursor', cursor],
    ['everywire-id', id],
    ...(duplicate ? [['duplicate', 'true'] as const] : []),
  ];
}
