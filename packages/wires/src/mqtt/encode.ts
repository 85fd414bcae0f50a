import { packetTypes } from './decode.ts';
import type { Connect, Packet, Properties, Publish, Subscribe, Unsubscribe, Version } from './packets.ts';
import { propertiesBytes, writeBinary, writeProperties, writeText, type Owner } from './properties.ts';
import { connackReturnCode } from './reason-codes.ts';
import { varintBytes, writeVarint } from './varint.ts';

/** SUBACK of 3.1.1 has one code for all failures (§3.9.3). */
const failure = 0x80;

/**
 * The bytes of a packet. `packetBytesMax` is the limit of the peer: to fit, all packets but PUBLISH lose the reason
 * string first and then the user properties (MQTT 5 §3.1.2.11.4). Returns `undefined` for a packet that is still too
 * large and must not be sent [MQTT-3.1.2-24], and for a packet that the version does not have, such as a DISCONNECT
 * from a server before 5.
 */
export function encodePacket(
  packet: Packet,
  version: Version,
  packetBytesMax = Infinity,
): Buffer | undefined {
  const bytes = encodeWhole(packet, version);
  if (bytes === undefined || bytes.length <= packetBytesMax) return bytes;
  if (version !== 5 || !canShed(packet)) return undefined;
  const { properties } = packet;
  const shed = (['reasonString', 'userProperties'] as const).find((name) => properties[name] !== undefined);
  if (shed === undefined) return undefined;
  const kept: Properties = { ...properties, [shed]: undefined };
  return encodePacket({ ...packet, properties: kept }, version, packetBytesMax);
}

type Shedding = Extract<Packet, { readonly properties: Properties }> & {
  readonly properties: Pick<Properties, 'reasonString' | 'userProperties'>;
};

/**
 * Whether the properties of this packet are only for diagnosis: those of a PUBLISH belong to the publisher
 * [MQTT-3.3.2-17].
 */
function canShed(packet: Packet): packet is Shedding {
  return 'properties' in packet && packet.type !== 'publish' && packet.type !== 'connect';
}

function encodeWhole(packet: Packet, version: Version): Buffer | undefined {
  switch (packet.type) {
    case 'connect':
      return encodeConnect(packet);
    case 'publish':
      return encodePublish(packet, version);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return encodeAck(packet.type, packet.packetId, packet.reasonCode, packet.properties, version);
    case 'subscribe':
      return encodeSubscribe(packet, version);
    case 'unsubscribe':
      return encodeUnsubscribe(packet, version);
    case 'suback':
    case 'unsuback': {
      const { type, packetId, properties, reasonCodes } = packet;
      const codes =
        version === 5
          ? reasonCodes
          : type === 'unsuback'
            ? []
            : reasonCodes.map((code) => (code > 2 ? failure : code));
      return writeWith(type, 0, version, 2, properties, codes.length, (bytes, at, writeOwn) => {
        const next = writeOwn(bytes.writeUInt16BE(packetId, at));
        bytes.set(codes, next);
        return next + codes.length;
      });
    }
    case 'connack': {
      const code = version === 5 ? packet.reasonCode : connackReturnCode(packet.reasonCode);
      if (code === undefined) return undefined;
      return writeWith('connack', 0, version, 2, packet.properties, 0, (bytes, at, writeOwn) => {
        // [MQTT-3.2.2-6], and in 3.1 the byte is unused.
        bytes[at] = packet.sessionPresent && code === 0 && version !== 3 ? 1 : 0;
        bytes[at + 1] = code;
        return writeOwn(at + 2);
      });
    }
    case 'pingreq':
    case 'pingresp':
      return Buffer.from([packetTypes[packet.type] << 4, 0]);
    case 'disconnect':
      if (version !== 5) return Buffer.from([packetTypes.disconnect << 4, 0]);
      return encodeReason(packet.type, packet.reasonCode, packet.properties);
    case 'auth':
      return version === 5 ? encodeReason(packet.type, packet.reasonCode, packet.properties) : undefined;
  }
}

/** A buffer with the fixed header of `type` for `length` further bytes; `at` is the position after the header. */
function begin(type: Packet['type'], flags: number, length: number): { bytes: Buffer; at: number } {
  const bytes = Buffer.allocUnsafe(1 + varintBytes(length) + length);
  bytes[0] = (packetTypes[type] << 4) | flags;
  return { bytes, at: writeVarint(bytes, 1, length) };
}

type WriteOwn = (at: number) => number;

/** A packet of `fixed` bytes, properties if the version has them (`writeOwn` writes them), and `rest` bytes. */
function writeWith(
  type: Owner & Packet['type'],
  flags: number,
  version: Version,
  fixed: number,
  properties: Properties,
  rest: number,
  write: (bytes: Buffer, at: number, writeOwn: WriteOwn) => number,
): Buffer {
  const own = version === 5 ? propertiesBytes(properties, type) : 0;
  const { bytes, at } = begin(type, flags, fixed + (version === 5 ? varintBytes(own) + own : 0) + rest);
  write(bytes, at, (from) =>
    version === 5 ? writeProperties(bytes, writeVarint(bytes, from, own), properties, type) : from,
  );
  return bytes;
}

/**
 * The short form for success: a busy connection sends mostly acknowledgements, and most of them are four bytes that say
 * success.
 */
export function encodeAck(
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp',
  packetId: number,
  reasonCode: number,
  properties: Properties,
  version: Version,
): Buffer {
  const flags = type === 'pubrel' ? 2 : 0;
  const own = version === 5 ? propertiesBytes(properties, type) : 0;
  if (version !== 5 || (reasonCode === 0 && own === 0)) {
    const short = Buffer.allocUnsafe(4);
    short[0] = (packetTypes[type] << 4) | flags;
    short[1] = 2;
    short[2] = packetId >> 8;
    short[3] = packetId & 0xff;
    return short;
  }
  const { bytes, at } = begin(type, flags, 3 + (own === 0 ? 0 : varintBytes(own) + own));
  const next = bytes.writeUInt8(reasonCode, bytes.writeUInt16BE(packetId, at));
  if (own > 0) writeProperties(bytes, writeVarint(bytes, next, own), properties, type);
  return bytes;
}

/** DISCONNECT and AUTH of MQTT 5: empty fields at the end are left out. */
function encodeReason(type: 'disconnect' | 'auth', reasonCode: number, properties: Properties): Buffer {
  const own = propertiesBytes(properties, type);
  if (own === 0 && reasonCode === 0) return Buffer.from([packetTypes[type] << 4, 0]);
  // A property length must not be left out of AUTH, which always has a method.
  const { bytes, at } = begin(type, 0, 1 + (own === 0 ? 0 : varintBytes(own) + own));
  bytes[at] = reasonCode;
  if (own > 0) writeProperties(bytes, writeVarint(bytes, at + 1, own), properties, type);
  return bytes;
}

export function encodePublish(packet: Publish, version: Version): Buffer {
  const { topic, payload, qos, retain, dup, packetId, properties } = packet;
  const flags = (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  const fixed = 2 + Buffer.byteLength(topic) + (qos > 0 ? 2 : 0);
  return writeWith('publish', flags, version, fixed, properties, payload.length, (bytes, at, writeOwn) => {
    let next = writeText(bytes, at, topic);
    if (qos > 0) next = bytes.writeUInt16BE(packetId, next);
    next = writeOwn(next);
    return next + payload.copy(bytes, next);
  });
}

function encodeSubscribe({ packetId, filters, properties }: Subscribe, version: Version): Buffer {
  const rest = filters.reduce((bytes, { filter }) => bytes + 3 + Buffer.byteLength(filter), 0);
  return writeWith('subscribe', 2, version, 2, properties, rest, (bytes, at, writeOwn) => {
    let next = writeOwn(bytes.writeUInt16BE(packetId, at));
    for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of filters) {
      next = writeText(bytes, next, filter);
      const options =
        version === 5 ? (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) : 0;
      bytes[next++] = qos | options;
    }
    return next;
  });
}

function encodeUnsubscribe({ packetId, filters, properties }: Unsubscribe, version: Version): Buffer {
  const rest = filters.reduce((bytes, { filter }) => bytes + 2 + Buffer.byteLength(filter), 0);
  return writeWith('unsubscribe', 2, version, 2, properties, rest, (bytes, at, writeOwn) => {
    let next = writeOwn(bytes.writeUInt16BE(packetId, at));
    for (const { filter } of filters) next = writeText(bytes, next, filter);
    return next;
  });
}

function encodeConnect(packet: Connect): Buffer {
  const { version, will, userName, password, clientId } = packet;
  const name = version === 3 ? 'MQIsdp' : 'MQTT';
  const willOwn = will !== undefined && version === 5 ? propertiesBytes(will.properties, 'will') : 0;
  const rest =
    textBytes(clientId) +
    (will === undefined
      ? 0
      : (version === 5 ? varintBytes(willOwn) + willOwn : 0) +
        textBytes(will.topic) +
        2 +
        will.payload.length) +
    (userName === undefined ? 0 : textBytes(userName)) +
    (password === undefined ? 0 : 2 + password.length);
  const fixed = textBytes(name) + 4;
  return writeWith('connect', 0, version, fixed, packet.properties, rest, (bytes, at, writeOwn) => {
    let next = writeText(bytes, at, name);
    bytes[next++] = version | (packet.isBridge === true ? 0x80 : 0);
    bytes[next++] = connectFlags(packet);
    next = writeText(bytes, writeOwn(bytes.writeUInt16BE(packet.keepAliveSeconds, next)), clientId);
    if (will !== undefined) {
      if (version === 5)
        next = writeProperties(bytes, writeVarint(bytes, next, willOwn), will.properties, 'will');
      next = writeBinary(bytes, writeText(bytes, next, will.topic), will.payload);
    }
    if (userName !== undefined) next = writeText(bytes, next, userName);
    return password === undefined ? next : writeBinary(bytes, next, password);
  });
}

function connectFlags({ cleanStart, will, userName, password }: Connect): number {
  return (
    (cleanStart ? 0x02 : 0) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (userName === undefined ? 0 : 0x80)
  );
}

function textBytes(text: string): number {
  return 2 + Buffer.byteLength(text);
}
