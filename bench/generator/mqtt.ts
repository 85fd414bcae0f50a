import type { Handshake, Place } from './handshakes.ts';

/** As much of MQTT 3.1.1 as a load generator needs; the version that every broker here speaks. */

const packetTypes = { connect: 0x10, publish: 0x30, publishAtLeastOnce: 0x32, subscribe: 0x82 } as const;
const cleanSession = 0x02;
const userNameAndPassword = 0xc0;

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
  const flags = (isClean ? cleanSession : 0) | (token === undefined ? 0 : userNameAndPassword);
  const variable = Buffer.from([...text('MQTT'), 4, flags, keepAliveSeconds >> 8, keepAliveSeconds & 0xff]);
  const login = token === undefined ? [] : [text(''), text(token)];
  return packet(packetTypes.connect, [variable, text(clientName), ...login]);
}

/** SUBSCRIBE (§3.8) with packet id 1. */
function subscribe(filter: string, qos: 0 | 1): Buffer {
  return packet(packetTypes.subscribe, [Buffer.from([0, 1]), text(filter), Buffer.from([qos])]);
}

/** PUBLISH (§3.3): at QoS 1 with a packet id, without one at QoS 0. */
export function mqttPublish(topic: string, payload: string, packetId: number | undefined): Buffer {
  return packetId === undefined
    ? packet(packetTypes.publish, [text(topic), Buffer.from(payload)])
    : packet(packetTypes.publishAtLeastOnce, [
        text(topic),
        Buffer.from([packetId >> 8, packetId & 0xff]),
        Buffer.from(payload),
      ]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

function packet(header: number, parts: readonly Buffer[]): Buffer {
  let left = parts.reduce((sum, { length }) => sum + length, 0);
  const head = [header];
  do {
    const more = left > 0x7f ? 0x80 : 0;
    head.push((left & 0x7f) | more);
    left >>= 7;
  } while (left > 0);
  return Buffer.concat([Buffer.from(head), ...parts]);
}

const puback = 0x40;
const publishType = 0x30;
const qosAtLeastOnce = 0x02;
/** Fixed header of at most five bytes, topic length: what has to be there before the packet id can be found. */
const headBytesMax = 7;

/** Reads one connection's packets in any chunking, and answers each PUBLISH of QoS 1 with its PUBACK (§3.4). */
export class MqttAcks {
  /** Bytes of the packet under way that need not be looked at. */
  #skip = 0;
  #carry: Buffer | undefined;

  read(chunk: Buffer): Buffer | undefined {
    const answers: number[] = [];
    let bytes = chunk;
    let at = 0;
    if (this.#carry !== undefined) {
      bytes = Buffer.concat([this.#carry, chunk]);
      this.#carry = undefined;
    }
    for (;;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
      }
      if (at >= bytes.length) break;
      const read = readHead(bytes, at);
      if (read === undefined) {
        this.#carry = Buffer.from(bytes.subarray(at));
        break;
      }
      if (read.packetId !== undefined) answers.push(puback, 2, read.packetId >> 8, read.packetId & 0xff);
      this.#skip = read.end - at;
    }
    return answers.length === 0 ? undefined : Buffer.from(answers);
  }
}

/** The packet that begins at `at`; `undefined` while what is needed of it has not arrived. */
function readHead(
  bytes: Buffer,
  at: number,
): { readonly end: number; readonly packetId?: number } | undefined {
  let length = 0;
  let from = at + 1;
  for (let shift = 0; ; shift += 7) {
    if (from >= bytes.length) return undefined;
    const byte = bytes[from++]!;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
    if (from - at > headBytesMax) throw new Error('a remaining length of more than four bytes');
  }
  const end = from + length;
  if ((bytes[at]! & 0xf6) !== (publishType | qosAtLeastOnce)) return { end };
  if (from + 2 > bytes.length) return undefined;
  const idAt = from + 2 + bytes.readUInt16BE(from);
  if (idAt + 2 > bytes.length) return undefined;
  return { end, packetId: bytes.readUInt16BE(idAt) };
}
