import { rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type { Connect, MqttFault, Qos, Version, Will } from './packets.ts';
import { noProperties, readProperties } from './properties.ts';
import { hasWildcard } from './topics.ts';

const rules = {
  name: rule('3.1.2-1', '3.1.2-1'),
  version: rule('3.1.2-2', '3.1.2-2'),
  headerFlags: rule('2.1.3-1', '2.2.2-2'),
  reserved: rule('3.1.2-3', '3.1.2-3'),
  willQosWithoutWill: rule('3.1.2-11', '3.1.2-13'),
  willQos: rule('3.1.2-12', '3.1.2-14'),
  willRetainWithoutWill: rule('3.1.2-13', '3.1.2-15'),
  passwordWithoutUser: rule('§3.1.2.9', '3.1.2-22'),
  authenticationData: rule('§3.1.2.11.10'),
  clientIdText: rule('3.1.3-4', '3.1.3-4'),
  clientId: rule('3.1.3-8', '3.1.3-8'),
  clientId31: rule('§3.1', '§3.1'),
  willTopicText: rule('3.1.3-11', '3.1.3-10'),
  willTopic: rule('3.3.2-2', '3.3.2-2'),
  emptyTopic: rule('4.7.3-1', '4.7.3-1'),
  userNameText: rule('3.1.3-12', '3.1.3-11'),
  leftOver: rule('3.1.4-1', '3.1.4-1'),
};

const flags = {
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willRetain: 0x20,
  password: 0x40,
  userName: 0x80,
} as const;

/** `headerFlags`: the low half of the first byte; 3.1 does not define them. */
export function decodeConnect(fields: Fields, headerFlags: number): Connect | MqttFault {
  const level = readLevel(fields, headerFlags);
  if (level === undefined) return fields.fault!;
  const { version, isBridge } = level;
  const packet = readConnect(fields, version);
  const { fault } = fields;
  if (fault === undefined) return isBridge ? { ...packet, isBridge } : packet;
  // MQTT 5 §4.13.1 lets the server give the reason. Earlier versions have a code only for the version and the client
  // id.
  const hasAnswer = version === 5 || fault.kind === 'identifier';
  return hasAnswer ? { ...fault, connackVersion: version } : fault;
}

/** The version of a CONNECT, from the name and the level of the protocol. */
export interface Level {
  /** Absent: it is not spoken here. */
  readonly version: Version | undefined;
  readonly isBridge: boolean;
  /** The form of a CONNACK that a client of that level reads: that of MQTT 3.1.1 below 5 [MQTT-3.1.2-2]. */
  readonly connackVersion: Version;
}

/** `undefined`: the name is not one of MQTT. */
export function levelOf(name: string, level: number): Level | undefined {
  const isOld = name === 'MQIsdp';
  if (name !== 'MQTT' && !isOld) return undefined;
  const plain = level & 0x7f;
  const isBridge = plain !== level;
  const spoken: Version | undefined = isOld ? (plain === 3 ? 3 : undefined) : plain === 4 ? 4 : undefined;
  const version = spoken ?? (!isOld && level === 5 ? 5 : undefined);
  return { version, isBridge: isBridge && version !== undefined, connackVersion: isOld || plain < 5 ? 4 : 5 };
}

function readLevel(
  fields: Fields,
  headerFlags: number,
): { readonly version: Version; readonly isBridge: boolean } | undefined {
  const name = fields.readBinary().toString('latin1');
  const byte = fields.readByte();
  if (fields.hasFault()) return undefined;
  const level = levelOf(name, byte);
  if (level === undefined) {
    fields.refuse('version', rules.name, 'The protocol name is not MQTT.');
    if (byte === 5) answerIn(fields, 5);
    return undefined;
  }
  const { version, isBridge, connackVersion } = level;
  if (version === undefined) {
    fields.refuse('version', rules.version, 'The protocol version is not supported.');
    answerIn(fields, connackVersion);
    return undefined;
  }
  fields.version = version;
  if (version !== 3 && headerFlags !== 0) {
    fields.refuse('malformed', rules.headerFlags, 'The reserved bits of the header of a CONNECT are not 0.');
  }
  return { version, isBridge };
}

function answerIn(fields: Fields, connackVersion: Version): void {
  fields.fault = { ...fields.fault!, connackVersion };
}

function readConnect(fields: Fields, version: Version): Connect {
  const bits = fields.readByte();
  checkFlags(fields, version, bits);
  const keepAliveSeconds = fields.readUint16();
  const properties = readProperties(fields, 'connect');
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    fields.refuse(
      'protocol',
      rules.authenticationData,
      'Authentication data needs an authentication method.',
    );
  }
  const cleanStart = (bits & flags.cleanStart) !== 0;
  const clientId = readClientId(fields, version, cleanStart);
  const will = (bits & flags.will) === 0 ? undefined : readWill(fields, bits);
  const userName = (bits & flags.userName) === 0 ? undefined : fields.readName(rules.userNameText);
  const password = (bits & flags.password) === 0 ? undefined : fields.readBinary();
  if (!fields.isAtEnd()) fields.refuse('malformed', rules.leftOver, 'A CONNECT has bytes after its end.');
  return {
    type: 'connect',
    version,
    cleanStart,
    keepAliveSeconds,
    clientId,
    will,
    userName,
    password,
    properties,
  };
}

function checkFlags(fields: Fields, version: Version, bits: number): void {
  // In 3.1 the bit is unused, and its clients set it.
  if ((bits & flags.reserved) !== 0 && version !== 3) {
    fields.refuse('malformed', rules.reserved, 'The reserved connect flag is not 0.');
  }
  const willQos = (bits >> 3) & 3;
  if (willQos === 3) fields.refuse('malformed', rules.willQos, 'The will QoS is 3.');
  if ((bits & flags.will) === 0) {
    if (willQos !== 0) {
      fields.refuse('malformed', rules.willQosWithoutWill, 'The will QoS is set without a will.');
    }
    if ((bits & flags.willRetain) !== 0) {
      fields.refuse('malformed', rules.willRetainWithoutWill, 'The will retain flag is set without a will.');
    }
  }
  if (version !== 5 && (bits & flags.password) !== 0 && (bits & flags.userName) === 0) {
    fields.refuse('malformed', rules.passwordWithoutUser, 'A password needs a user name.');
  }
}

function readClientId(fields: Fields, version: Version, cleanStart: boolean): string {
  const clientId = version === 5 ? fields.readText(rules.clientIdText) : fields.readName(rules.clientIdText);
  if (fields.hasFault()) return '';
  // 3.1 also limits it to 23 bytes. Mosquitto has long accepted more, and clients rely on that.
  if (version === 3 && clientId === '') {
    fields.refuse('identifier', rules.clientId31, 'In MQTT 3.1 a client id must not be empty.');
  } else if (version === 4 && clientId === '' && !cleanStart) {
    fields.refuse('identifier', rules.clientId, 'An empty client id needs a clean session.');
  } else if (version === 5 && control.test(clientId)) {
    fields.refuse('identifier', rules.clientId, 'A client id must not contain control characters.');
  }
  return clientId;
}

const control = /[\u0001-\u001f\u007f-\u009f]/;

function readWill(fields: Fields, bits: number): Will {
  const properties = fields.version === 5 ? readProperties(fields, 'will') : noProperties;
  const topic = fields.readName(rules.willTopicText);
  if (!fields.hasFault() && topic === '') {
    fields.refuse('topic', rules.emptyTopic, 'A will topic must not be empty.');
  } else if (hasWildcard(topic)) {
    fields.refuse('topic', rules.willTopic, 'A will topic must not contain wildcards.');
  }
  return {
    topic,
    payload: fields.readBinary(),
    qos: ((bits >> 3) & 3) as Qos,
    retain: (bits & flags.willRetain) !== 0,
    properties,
  };
}
