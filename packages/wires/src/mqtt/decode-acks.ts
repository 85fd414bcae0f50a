import { rule, type Rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type {
  AckProperties,
  Auth,
  Disconnect,
  MqttFault,
  Puback,
  Pubcomp,
  Pubrec,
  Pubrel,
  Suback,
  Unsuback,
} from './packets.ts';
import { noProperties, readProperties } from './properties.ts';
import { allowedReasonCodes, type ReasonUse } from './reason-uses.ts';

const reasonRules: Readonly<Record<ReasonUse, Rule>> = {
  connack: rule('3.2.2-8'),
  puback: rule('3.4.2-1'),
  pubrec: rule('3.5.2-1'),
  pubrel: rule('3.6.2-1'),
  pubcomp: rule('3.7.2-1'),
  suback: rule('3.9.3-2'),
  'suback-older': rule('3.9.3-2', '3.9.3-2'),
  unsuback: rule('3.11.3-2'),
  'client-disconnect': rule('3.14.2-1'),
  'server-disconnect': rule('3.14.2-1'),
  'client-auth': rule('3.15.2-1'),
  'server-auth': rule('3.15.2-1'),
};

const rules = {
  packetId: rule('2.2.1-3', '2.3.1-1'),
  method: rule('§3.15.2.2.2'),
  expiryByServer: rule('3.14.2-2'),
};

export function readPacketId(fields: Fields): number {
  const packetId = fields.readUint16();
  if (packetId === 0) fields.refuse('protocol', rules.packetId, 'A packet identifier must not be 0.');
  return packetId;
}

export function readReasonCode(fields: Fields, use: ReasonUse): number {
  const code = fields.readByte();
  if (!fields.hasFault() && !allowedReasonCodes[use].has(code)) {
    fields.refuse('protocol', reasonRules[use], 'This packet type does not allow that reason code.');
  }
  return code;
}

type PublishAck = Puback | Pubrec | Pubrel | Pubcomp;

/** PUBACK, PUBREC, PUBREL and PUBCOMP: in MQTT 5 the reason code 0 and empty properties may be left out (§3.4.2.1). */
export function decodePublishAck(fields: Fields, type: PublishAck['type']): PublishAck | MqttFault {
  const packetId = readPacketId(fields);
  const isShort = fields.version !== 5 || fields.isAtEnd();
  const reasonCode = isShort ? 0 : readReasonCode(fields, type);
  const properties: AckProperties = isShort || fields.isAtEnd() ? noProperties : readProperties(fields, type);
  return finish(fields, { type, packetId, reasonCode, properties });
}

export function decodeSuback(fields: Fields): Suback | MqttFault {
  const packetId = readPacketId(fields);
  const properties = readProperties(fields, 'suback');
  return finish(fields, {
    type: 'suback',
    packetId,
    reasonCodes: readReasonCodes(fields, fields.version === 5 ? 'suback' : 'suback-older'),
    properties,
  });
}

export function decodeUnsuback(fields: Fields): Unsuback | MqttFault {
  const packetId = readPacketId(fields);
  const properties = readProperties(fields, 'unsuback');
  const reasonCodes = fields.version === 5 ? readReasonCodes(fields, 'unsuback') : [];
  return finish(fields, { type: 'unsuback', packetId, reasonCodes, properties });
}

function readReasonCodes(fields: Fields, use: 'suback' | 'suback-older' | 'unsuback'): number[] {
  const codes: number[] = [];
  do codes.push(readReasonCode(fields, use));
  while (!fields.isAtEnd());
  return codes;
}

export function decodeDisconnect(fields: Fields, from: 'client' | 'server'): Disconnect | MqttFault {
  if (fields.version !== 5 || fields.isAtEnd()) {
    return finish(fields, { type: 'disconnect', reasonCode: 0, properties: noProperties });
  }
  const reasonCode = readReasonCode(fields, `${from}-disconnect`);
  const properties = fields.isAtEnd() ? noProperties : readProperties(fields, 'disconnect');
  if (from === 'server' && properties.sessionExpiryIntervalSeconds !== undefined) {
    fields.refuse(
      'protocol',
      rules.expiryByServer,
      'A DISCONNECT of the server must not change the session expiry interval.',
    );
  }
  return finish(fields, { type: 'disconnect', reasonCode, properties });
}

export function decodeAuth(fields: Fields, from: 'client' | 'server'): Auth | MqttFault {
  const isShort = fields.isAtEnd();
  const reasonCode = isShort ? 0 : readReasonCode(fields, `${from}-auth`);
  const properties = isShort || fields.isAtEnd() ? noProperties : readProperties(fields, 'auth');
  if (isShort && from === 'client') {
    fields.refuse('protocol', reasonRules['client-auth'], 'A client must not send AUTH with success.');
  }
  if (!isShort && properties.authenticationMethod === undefined) {
    fields.refuse('protocol', rules.method, 'AUTH must have an authentication method.');
  }
  return finish(fields, { type: 'auth', reasonCode, properties });
}

const leftOver = rule('§2.1.4', '§2.2.3');

/** The packet, or the fault: also if bytes follow the packet. */
export function finish<P>(fields: Fields, packet: P): P | MqttFault {
  if (!fields.isAtEnd()) fields.refuse('malformed', leftOver, 'The packet has bytes after its end.');
  return fields.fault ?? packet;
}
