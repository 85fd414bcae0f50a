import {
  decodeAuth,
  decodeDisconnect,
  decodePublishAck,
  decodeSuback,
  decodeUnsuback,
  finish,
} from './decode-acks.ts';
import { decodeConnack } from './decode-connack.ts';
import { decodeConnect } from './decode-connect.ts';
import { decodePublish } from './decode-publish.ts';
import { decodeSubscribe, decodeUnsubscribe } from './decode-subscribe.ts';
import { fault, rule, type Rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type { MqttFault, Packet, Version } from './packets.ts';

/** Numbers of the packet types (MQTT 5 table 2-1): the high half of the first byte. */
export const packetTypes = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const satisfies Record<Packet['type'], number>;

const clientOnly = new Set<number>([
  packetTypes.connect,
  packetTypes.subscribe,
  packetTypes.unsubscribe,
  packetTypes.pingreq,
]);
const serverOnly = new Set<number>([
  packetTypes.connack,
  packetTypes.suback,
  packetTypes.unsuback,
  packetTypes.pingresp,
]);

const rules = {
  first: rule('3.1.0-1', '3.1.0-1'),
  second: rule('3.1.0-2', '3.1.0-2'),
  type: rule('§2.1.2', '§2.2.1'),
  direction: rule('§2.1.2', '§2.2.1'),
  flags: rule('2.1.3-1', '2.2.2-2'),
  pubrelFlags: rule('3.6.1-1', '3.6.1-1'),
  subscribeFlags: rule('3.8.1-1', '3.8.1-1'),
  unsubscribeFlags: rule('3.10.1-1', '3.10.1-1'),
  disconnectFlags: rule('3.14.1-1', '3.14.1-1'),
  authFlags: rule('3.15.1-1'),
  qos: rule('3.3.1-4', '3.3.1-4'),
  dup: rule('3.3.1-2', '3.3.1-2'),
};

export type Sender = 'client' | 'server';

/**
 * Checks the first byte of a packet, so that the reader need not wait for the rest of an invalid one. `version` is
 * undefined until a CONNECT was read.
 */
export function checkFirstByte(
  first: number,
  from: Sender,
  version: Version | undefined,
): MqttFault | undefined {
  const type = first >> 4;
  if (version === undefined) {
    if (type === packetTypes.connect) return undefined;
    return fault({
      kind: 'protocol',
      rule: rules.first,
      version,
      detail: 'The first packet must be CONNECT.',
    });
  }
  if (type === 0 || (type === packetTypes.auth && version !== 5)) {
    return fault({ kind: 'malformed', rule: rules.type, version, detail: 'Unknown packet type.' });
  }
  if (from === 'client' && type === packetTypes.connect) {
    return fault({
      kind: 'protocol',
      rule: rules.second,
      version,
      detail: 'The connection has a second CONNECT.',
    });
  }
  const badFlags = checkFlags(type, first & 0x0f, version);
  if (badFlags !== undefined) return badFlags;
  if (
    (from === 'client' ? serverOnly : clientOnly).has(type) ||
    (from === 'server' && isFromClient(type, version))
  ) {
    const detail = `A ${from} must not send packets of this type.`;
    return fault({ kind: 'protocol', rule: rules.direction, version, detail });
  }
  return undefined;
}

function isFromClient(type: number, version: Version): boolean {
  return type === packetTypes.disconnect && version !== 5;
}

function checkFlags(type: number, flags: number, version: Version): MqttFault | undefined {
  if (type === packetTypes.publish) {
    const isQos3 = (flags & 0x06) === 0x06;
    if (!isQos3 && (flags & 0x0e) !== 0x08) return undefined;
    // For DUP at QoS 0 the standard allows 0x81 and 0x82; Mosquitto uses 0x81 too.
    const detail = isQos3 ? 'The QoS of a PUBLISH is 3.' : 'DUP is set at QoS 0.';
    return fault({ kind: 'malformed', rule: isQos3 ? rules.qos : rules.dup, version, detail });
  }
  // In MQTT 3.1 these bits had a meaning (DUP, QoS); Mosquitto ignores them too.
  if (version === 3 || flags === neededFlags(type)) return undefined;
  const detail = 'The header flags are invalid for this packet type.';
  return fault({ kind: 'malformed', rule: flagRules.get(type) ?? rules.flags, version, detail });
}

function neededFlags(type: number): number {
  return type === packetTypes.pubrel || type === packetTypes.subscribe || type === packetTypes.unsubscribe
    ? 2
    : 0;
}

const flagRules = new Map<number, Rule>([
  [packetTypes.pubrel, rules.pubrelFlags],
  [packetTypes.subscribe, rules.subscribeFlags],
  [packetTypes.unsubscribe, rules.unsubscribeFlags],
  [packetTypes.disconnect, rules.disconnectFlags],
  [packetTypes.auth, rules.authFlags],
]);

/** `fields` is the packet behind its fixed header, whose first byte has been checked. */
export function decodePacket(first: number, fields: Fields, from: Sender): Packet | MqttFault {
  switch (first >> 4) {
    case packetTypes.connect:
      return decodeConnect(fields, first & 0x0f);
    case packetTypes.connack:
      return decodeConnack(fields);
    case packetTypes.publish:
      return decodePublish(fields, first & 0x0f, from);
    case packetTypes.puback:
      return decodePublishAck(fields, 'puback');
    case packetTypes.pubrec:
      return decodePublishAck(fields, 'pubrec');
    case packetTypes.pubrel:
      return decodePublishAck(fields, 'pubrel');
    case packetTypes.pubcomp:
      return decodePublishAck(fields, 'pubcomp');
    case packetTypes.subscribe:
      return decodeSubscribe(fields);
    case packetTypes.suback:
      return decodeSuback(fields);
    case packetTypes.unsubscribe:
      return decodeUnsubscribe(fields);
    case packetTypes.unsuback:
      return decodeUnsuback(fields);
    case packetTypes.pingreq:
      return finish(fields, { type: 'pingreq' });
    case packetTypes.pingresp:
      return finish(fields, { type: 'pingresp' });
    case packetTypes.disconnect:
      return decodeDisconnect(fields, from);
    default:
      return decodeAuth(fields, from);
  }
}
