import {
  clientReader,
  encodePacket,
  noProperties,
  type ClientPacket,
  type PacketReader,
  type ServerPacket,
} from '@everywire/wires/mqtt';
import type { Handshake, Place } from './handshakes.ts';

/** As much of MQTT 3.1.1 as a load generator needs; the version that every broker here speaks. */

const version = 4;
const packetBytesMax = 16 * 1024 * 1024;

/** Never asks for a PING: connections of a run are as quiet as they are. */
const keepAliveSeconds = 0;

const connackNew = '\x20\x02\x00\x00';
const connackPresent = '\x20\x02\x01\x00';
/** The SUBACK of packet 1 that grants QoS 0, and QoS 1. */
const subackAtMostOnce = '\x90\x03\x00\x01\x00';
const subackAtLeastOnce = '\x90\x03\x00\x01\x01';

/**
 * Subscribes to the topic `path`: without a session at QoS 0, with one at QoS 1. A session that is returned to has its
 * subscription already.
 */
export function mqttHandshake({ path, clientName, session, token }: Place): Handshake {
  const connect = mqttConnect(clientName, session === undefined, token);
  if (session === undefined)
    return {
      request: Buffer.concat([connect, subscribe(path, 0)]),
      ready: { text: connackNew + subackAtMostOnce, times: 1 },
    };
  const acks = new MqttAcks();
  const acknowledge = (bytes: Buffer): Buffer | undefined => acks.read(bytes);
  if (session === 'return')
    return { request: connect, ready: { text: connackPresent, times: 1 }, acknowledge };
  return {
    request: Buffer.concat([connect, subscribe(path, 1)]),
    ready: { text: connackNew + subackAtLeastOnce, times: 1 },
    acknowledge,
  };
}

/** CONNECT (§3.1); a token is the password, which 3.1.1 allows only beside a user name [MQTT-3.1.2-22]. */
export function mqttConnect(clientName: string, isClean: boolean, token?: string): Buffer {
  return encode({
    type: 'connect',
    version,
    cleanStart: isClean,
    keepAliveSeconds,
    clientId: clientName,
    will: undefined,
    userName: token === undefined ? undefined : '',
    password: token === undefined ? undefined : Buffer.from(token),
    properties: noProperties,
  });
}

/** SUBSCRIBE (§3.8) with packet id 1. */
function subscribe(filter: string, qos: 0 | 1): Buffer {
  const options = {
    isWellFormed: true,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  } as const;
  return encode({
    type: 'subscribe',
    packetId: 1,
    filters: [{ filter, qos, ...options }],
    properties: noProperties,
  });
}

/** PUBLISH (§3.3): at QoS 1 with a packet id, without one at QoS 0. */
export function mqttPublish(topic: string, payload: string, packetId: number | undefined): Buffer {
  return encode({
    type: 'publish',
    topic,
    payload: Buffer.from(payload),
    qos: packetId === undefined ? 0 : 1,
    retain: false,
    dup: false,
    packetId: packetId ?? 0,
    properties: noProperties,
  });
}

function encode(packet: ClientPacket): Buffer {
  return encodePacket(packet, version)!;
}

/** Reads what a broker sends. */
export function brokerPackets(): PacketReader<ServerPacket> {
  return clientReader(version, { packetBytesMax });
}

/** Reads one connection's packets in chunks of any size, and answers each PUBLISH of QoS 1 with its PUBACK (§3.4). */
export class MqttAcks {
  readonly #packets = brokerPackets();

  read(chunk: Buffer): Buffer | undefined {
    this.#packets.push(chunk);
    const answers: Buffer[] = [];
    for (let one = this.#packets.next(); one !== undefined; one = this.#packets.next()) {
      if (one.type === 'fault') throw new Error(one.detail);
      if (one.type === 'publish' && one.qos === 1) answers.push(encode(pubackOf(one.packetId)));
    }
    return answers.length === 0 ? undefined : Buffer.concat(answers);
  }
}

function pubackOf(packetId: number): ClientPacket {
  return { type: 'puback', packetId, reasonCode: 0, properties: noProperties };
}
