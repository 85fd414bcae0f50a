import { detectType, parseDurationMs, payloadMember, timeOfId, writeEnvelope } from '@everywire/protocol';
import {
  clientReader,
  encodePacket,
  isHonestType,
  type ClientPacket,
  type Publish,
  type ServerPacket,
  type UserProperties,
} from '@everywire/wires/mqtt';
import { randomUUID } from 'node:crypto';
import { openByteStream, type ByteStream } from '../byte-stream.ts';
import { Cut, Refused, Unsendable } from '../errors.ts';
import { Follows } from '../follows.ts';
import { PendingAnswers } from '../pending-answers.ts';
import {
  receiptLine,
  type Arrival,
  type FollowOptions,
  type OpenSession,
  type Publication,
  type Session,
} from '../session.ts';
import type { Target } from '../target.ts';

const version = 5;
/** A limit of this reader, above the limits of the server. */
const packetBytesMax = 16 * 1024 * 1024;
const keepAliveSeconds = 30;
/** Half the keep alive, so that each keep alive contains an answer. */
const pingEveryMs = 15_000;
const packetIdMax = 0xffff;
/** The first reason code that is an error (MQTT 5 §2.4). */
const failureMin = 0x80;

type Answer = Extract<ServerPacket, { readonly type: 'suback' | 'puback' }>;

/** MQTT 5, once CONNACK has come. */
export const openMqtt: OpenSession = async (target, sockets) => {
  const stream = await openByteStream(target, sockets, {
    path: '/mqtt',
    protocol: 'mqtt',
    idleMs: 3 * pingEveryMs,
  });
  const session = new MqttSession(stream);
  await session.connect(target);
  return session;
};

class MqttSession implements Session {
  readonly #stream: ByteStream;
  readonly #reader = clientReader(version, { packetBytesMax });
  readonly #connected = Promise.withResolvers<undefined>();
  readonly #asked = new PendingAnswers<number, Answer>();
  readonly #follows = new Follows();
  /** How many subscriptions acknowledge manually. */
  #manual = 0;
  #isConnected = false;
  #pinging: NodeJS.Timeout | undefined;
  #lastPacketId = 0;
  #ended: Error | undefined;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  async connect({ token }: Target): Promise<void> {
    this.#send({
      type: 'connect',
      version,
      cleanStart: true,
      keepAliveSeconds,
      clientId: '',
      will: undefined,
      userName: undefined,
      password: token === undefined ? undefined : Buffer.from(token),
      properties: {},
    });
    void this.#read();
    await this.#connected.promise;
    this.#pinging = setInterval(() => this.#send({ type: 'pingreq' }), pingEveryMs);
    this.#pinging.unref();
  }

  /** Publishes at QoS 1: the PUBACK comes once the message is stored. */
  async publish(channel: string, publication: Publication): Promise<string> {
    const { payload, type, headers = [], event, key, retain = false, ttl } = publication;
    if (/[+#]/.test(channel)) {
      throw new Unsendable(`${channel} is a filter; a message must be published to one channel.`);
    }
    const messageExpiryIntervalSeconds = ttl === undefined ? undefined : secondsOf(ttl);
    const puback = await this.#ask((packetId) => ({
      type: 'publish',
      topic: channel,
      payload,
      qos: 1,
      retain,
      dup: false,
      packetId,
      properties: {
        contentType: type,
        userProperties: [
          ...headers,
          // With a publish id, the PUBACK contains the position of the message.
          ['everywire-key', key ?? randomUUID()],
          ...(event === undefined ? [] : [['everywire-event', event] as const]),
        ],
        ...(messageExpiryIntervalSeconds === undefined ? {} : { messageExpiryIntervalSeconds }),
      },
    }));
    const { reasonString, userProperties } = puback.properties;
    if (puback.type === 'puback') checkReason('PUBLISH', puback.reasonCode, reasonString);
    const offset = propertyOf(userProperties, 'offset');
    return receiptLine(channel, {
      offset: offset === undefined ? undefined : Number(offset),
      cursor: propertyOf(userProperties, 'cursor'),
      id: propertyOf(userProperties, 'everywire-id'),
      duplicate: propertyOf(userProperties, 'duplicate') === 'true' ? true : undefined,
    });
  }

  /** Follows at QoS 0, or at QoS 1 with manual acknowledgements: the cursor of each message already protects against loss. */
  async *follow(channel: string, options: FollowOptions): AsyncGenerator<Arrival, void, undefined> {
    const filter = {
      filter: channel.split('/').map(wildcardOf).join('/'),
      isWellFormed: true,
      qos: options.acks === 'manual' ? 1 : 0,
      noLocal: false,
      retainAsPublished: false,
      // No retained messages: they are old, and would come before the requested start.
      retainHandling: 2,
    } as const;
    const queue = this.#follows.begin(channel);
    if (options.acks === 'manual') this.#manual += 1;
    try {
      const suback = await this.#ask((packetId) => ({
        type: 'subscribe',
        packetId,
        filters: [filter],
        properties: { userProperties: [['cursor', 'on'], ...startProperties(options)] },
      }));
      const { reasonString, userProperties } = suback.properties;
      if (suback.type === 'suback') checkReason('SUBSCRIBE', suback.reasonCodes[0] ?? 0x80, reasonString);
      yield { kind: 'open' };
      const cursor = propertyOf(userProperties, 'cursor');
      if (cursor !== undefined) yield { kind: 'position', cursor };
      yield* queue;
    } finally {
      if (options.acks === 'manual') this.#manual -= 1;
      const filters = [{ filter: filter.filter, isWellFormed: true }];
      if (this.#follows.finish(queue)) {
        this.#send({ type: 'unsubscribe', packetId: this.#nextPacketId(), filters, properties: {} });
      }
    }
  }

  close(): void {
    if (this.#ended === undefined) this.#send({ type: 'disconnect', reasonCode: 0, properties: {} });
    this.#end(new Cut('this side closed the connection'));
    this.#stream.close();
  }

  #send(packet: ClientPacket): void {
    const bytes = encodePacket(packet, version);
    if (bytes !== undefined) this.#stream.write(bytes);
  }

  #ask(make: (packetId: number) => ClientPacket): Promise<Answer> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    const packetId = this.#nextPacketId();
    const answer = this.#asked.wait(packetId);
    this.#send(make(packetId));
    return answer;
  }

  #nextPacketId(): number {
    do this.#lastPacketId = (this.#lastPacketId % packetIdMax) + 1;
    while (this.#asked.has(this.#lastPacketId));
    return this.#lastPacketId;
  }

  async #read(): Promise<void> {
    try {
      for await (const chunk of this.#stream.chunks()) {
        this.#reader.push(chunk);
        for (let one = this.#reader.next(); one !== undefined; one = this.#reader.next()) {
          if (one.type === 'fault') throw new Refused(`that is not MQTT: ${one.detail}`);
          this.#take(one);
        }
      }
    } catch (error) {
      this.#end(error as Error);
      this.#stream.close();
    }
  }

  #take(packet: ServerPacket): void {
    if (packet.type === 'disconnect') {
      const { reasonCode, properties } = packet;
      checkReason('the connection', Math.max(reasonCode, failureMin), properties.reasonString);
    }
    if (!this.#isConnected) {
      if (packet.type !== 'connack') throw new Refused(`CONNECT was answered ${packet.type}`);
      checkReason('CONNECT', packet.reasonCode, packet.properties.reasonString);
      this.#isConnected = true;
      this.#connected.resolve(undefined);
    } else if (packet.type === 'suback' || packet.type === 'puback') {
      this.#asked.take(packet.packetId)?.resolve(packet);
    } else if (packet.type === 'publish') {
      this.#deliver(packet);
    }
  }

  #deliver(packet: Publish): void {
    for (const gap of gapsOf(packet.properties.userProperties)) this.#follows.deliver(packet.topic, gap);
    const acknowledge = (): void =>
      this.#send({ type: 'puback', packetId: packet.packetId, reasonCode: 0, properties: {} });
    if (packet.qos === 1 && this.#manual === 0) acknowledge();
    const ack = packet.qos === 1 && this.#manual > 0 ? acknowledge : undefined;
    this.#follows.deliver(packet.topic, toMessage(packet, ack));
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    clearInterval(this.#pinging);
    this.#connected.reject(this.#ended);
    this.#asked.end(this.#ended);
    this.#follows.end(this.#ended);
  }
}

/** @throws Refused */
function checkReason(what: string, reasonCode: number, reasonString: string | undefined): void {
  if (reasonCode < failureMin) return;
  const words = reasonString === undefined ? '' : `: ${reasonString}`;
  throw new Refused(`${what} was refused with reason code 0x${reasonCode.toString(16)}${words}`, {
    mqttReason: reasonCode,
  });
}

/** The last value of a user property. */
function propertyOf(properties: UserProperties | undefined, name: string): string | undefined {
  return properties?.findLast(([known]) => known === name)?.[1];
}

/** `*` and `**` in the form of MQTT. */
function wildcardOf(level: string): string {
  return level === '**' ? '#' : level === '*' ? '+' : level;
}

function startProperties({ after, since }: FollowOptions): UserProperties {
  if (after !== undefined) return [['after', after]];
  return since === undefined ? [] : [['since', since]];
}

function* gapsOf(properties: UserProperties = []): Generator<Arrival, void, undefined> {
  for (const [name, text] of properties) {
    if (name !== 'everywire-gap') continue;
    const { cursor } = JSON.parse(text) as { readonly cursor?: string };
    yield { kind: 'gap', cursor, text };
  }
}

/** User properties that the server adds for a client that asks for cursors. */
const own: ReadonlySet<string> = new Set(['cursor', 'offset']);

function toMessage({ topic, payload, properties }: Publish, ack: (() => void) | undefined): Arrival {
  const { userProperties = [], contentType } = properties;
  const cursor = propertyOf(userProperties, 'cursor');
  const offset = propertyOf(userProperties, 'offset');
  if (cursor === undefined || offset === undefined) {
    throw new Refused('a PUBLISH came without its cursor; is this an Everywire server?');
  }
  const id = propertyOf(userProperties, 'everywire-id') ?? '';
  // Without a content type, the type that the server derives from the payload too.
  const isType = contentType !== undefined && isHonestType(contentType, payload);
  const type = isType ? contentType : detectType(payload);
  const fields = {
    channel: topic,
    offset: Number(offset),
    cursor,
    id,
    timeMs: timeOfId(id),
    type,
    event: propertyOf(userProperties, 'everywire-event'),
    from: propertyOf(userProperties, 'everywire-from'),
    headers: new Map(userProperties.filter(([name]) => !own.has(name) && !/^everywire-/i.test(name))),
  };
  return { kind: 'message', cursor, text: writeEnvelope(fields, payloadMember(type, payload)), ack };
}

function secondsOf(ttl: string): number {
  const ms = parseDurationMs(ttl);
  if (ms === undefined)
    throw new Unsendable(`ttl is a length of time such as 60s or 5m, not ${ttl}.`, { isOption: true });
  return Math.ceil(ms / 1000);
}
