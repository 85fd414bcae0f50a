import { rule, type Rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type { Properties, UserProperties } from './packets.ts';
import { reasonCodes, type ReasonCode } from './reason-codes.ts';
import { hasWildcard } from './topics.ts';
import { varintBytes, writeVarint } from './varint.ts';

/** Places of properties; table 2-4 of MQTT 5 (§2.2.2.2) says which property is allowed in which place. */
export const owners = {
  connect: 1 << 0,
  will: 1 << 1,
  connack: 1 << 2,
  publish: 1 << 3,
  puback: 1 << 4,
  pubrec: 1 << 5,
  pubrel: 1 << 6,
  pubcomp: 1 << 7,
  subscribe: 1 << 8,
  suback: 1 << 9,
  unsubscribe: 1 << 10,
  unsuback: 1 << 11,
  disconnect: 1 << 12,
  auth: 1 << 13,
} as const;

export type Owner = keyof typeof owners;

type Form = 'byte' | 'uint16' | 'uint32' | 'varint' | 'text' | 'name' | 'binary' | 'pair';

interface Definition {
  readonly id: number;
  readonly name: keyof Properties;
  readonly form: Form;
  /** Bits of `owners`. */
  readonly owners: number;
  /** The places where it may occur several times. */
  readonly repeats: number;
  readonly least: number;
  readonly most: number;
  /** The reason code for an invalid value; otherwise it is a protocol error of `section`. */
  readonly reasonCode: ReasonCode | undefined;
  readonly rule: Rule;
}

/** The properties of a packet without properties, as all packets of 3.1 and 3.1.1. */
export const noProperties: Readonly<Record<string, never>> = Object.freeze({});

const acks: Owner[] = ['puback', 'pubrec', 'pubrel', 'pubcomp'];
const everywhere: Owner[] = Object.keys(owners) as Owner[];

function bitsOf(names: readonly Owner[]): number {
  return names.reduce((bits, name) => bits | owners[name], 0);
}

interface Extra {
  readonly repeats?: readonly Owner[];
  readonly least?: number;
  readonly most?: number;
  readonly reasonCode?: ReasonCode;
}

function define(
  id: number,
  name: keyof Properties,
  form: Form,
  statement: string,
  where: readonly Owner[],
  { repeats = [], least = 0, most = Infinity, reasonCode }: Extra = {},
): Definition {
  return {
    id,
    name,
    form,
    owners: bitsOf(where),
    repeats: bitsOf(repeats),
    least,
    most,
    reasonCode,
    rule: rule(statement),
  };
}

const flag = { most: 1 };
const aboveZero = { least: 1 };

const definitions: readonly Definition[] = [
  define(0x01, 'payloadFormatIndicator', 'byte', '§3.3.2.3.2', ['publish', 'will'], flag),
  define(0x02, 'messageExpiryIntervalSeconds', 'uint32', '§3.3.2.3.3', ['publish', 'will']),
  define(0x03, 'contentType', 'text', '§3.3.2.3.9', ['publish', 'will']),
  define(0x08, 'responseTopic', 'name', '3.3.2-14', ['publish', 'will']),
  define(0x09, 'correlationData', 'binary', '§3.3.2.3.6', ['publish', 'will']),
  define(0x0b, 'subscriptionIdentifiers', 'varint', '§3.8.2.1.2', ['publish', 'subscribe'], {
    ...aboveZero,
    repeats: ['publish'],
  }),
  define(0x11, 'sessionExpiryIntervalSeconds', 'uint32', '§3.1.2.11.2', ['connect', 'connack', 'disconnect']),
  define(0x12, 'assignedClientIdentifier', 'name', '§3.2.2.3.7', ['connack']),
  define(0x13, 'serverKeepAliveSeconds', 'uint16', '§3.2.2.3.14', ['connack']),
  define(0x15, 'authenticationMethod', 'text', '§3.1.2.11.9', ['connect', 'connack', 'auth']),
  define(0x16, 'authenticationData', 'binary', '§3.1.2.11.10', ['connect', 'connack', 'auth']),
  define(0x17, 'requestProblemInformation', 'byte', '§3.1.2.11.7', ['connect'], flag),
  define(0x18, 'willDelayIntervalSeconds', 'uint32', '§3.1.3.2.2', ['will']),
  define(0x19, 'requestResponseInformation', 'byte', '§3.1.2.11.6', ['connect'], flag),
  define(0x1a, 'responseInformation', 'text', '§3.2.2.3.15', ['connack']),
  define(0x1c, 'serverReference', 'text', '§3.2.2.3.16', ['connack', 'disconnect']),
  define(0x1f, 'reasonString', 'text', '§2.2.2.2', [
    'connack',
    ...acks,
    'suback',
    'unsuback',
    'disconnect',
    'auth',
  ]),
  define(0x21, 'receiveMaximum', 'uint16', '§3.1.2.11.3', ['connect', 'connack'], aboveZero),
  define(0x22, 'topicAliasMaximum', 'uint16', '§3.1.2.11.5', ['connect', 'connack']),
  define(0x23, 'topicAlias', 'uint16', '3.3.2-8', ['publish'], {
    ...aboveZero,
    reasonCode: reasonCodes.topicAliasInvalid,
  }),
  define(0x24, 'maximumQos', 'byte', '§3.2.2.3.4', ['connack'], flag),
  define(0x25, 'retainAvailable', 'byte', '§3.2.2.3.5', ['connack'], flag),
  define(0x26, 'userProperties', 'pair', '1.5.7-1', everywhere, { repeats: everywhere }),
  define(0x27, 'maximumPacketSizeBytes', 'uint32', '§3.1.2.11.4', ['connect', 'connack'], aboveZero),
  define(0x28, 'wildcardSubscriptionAvailable', 'byte', '§3.2.2.3.11', ['connack'], flag),
  define(0x29, 'subscriptionIdentifierAvailable', 'byte', '§3.2.2.3.12', ['connack'], flag),
  define(0x2a, 'sharedSubscriptionAvailable', 'byte', '§3.2.2.3.13', ['connack'], flag),
];

const byId: readonly (Definition | undefined)[] = Array.from({ length: 0x2b }, (_, id) =>
  definitions.find((definition) => definition.id === id),
);

const definitionsOf = new Map(
  everywhere.map((owner) => [owner, definitions.filter((one) => (one.owners & owners[owner]) !== 0)]),
);

const unknown = rule('§2.2.2.2');
const tooLong = rule('§2.2.2.1');

type Value = number | string | Buffer | readonly (readonly [string, string])[] | readonly number[];

/** Reads the property length and the properties. Older versions have neither. */
export function readProperties(fields: Fields, owner: Owner): Properties {
  if (fields.version !== 5) return noProperties;
  const length = fields.readVarint();
  if (length === 0) return noProperties;
  const end = fields.end;
  const stop = fields.at + length;
  if (stop > end) {
    fields.refuse('malformed', tooLong, 'The properties are longer than the packet.');
    return noProperties;
  }
  const found: Partial<Record<keyof Properties, Value>> = {};
  fields.end = stop;
  while (!fields.isAtEnd()) readProperty(fields, owners[owner], found);
  fields.end = end;
  if (fields.hasFault()) fields.at = end;
  return found as Properties;
}

function readProperty(fields: Fields, owner: number, found: Partial<Record<keyof Properties, Value>>): void {
  const definition = byId[fields.readVarint()];
  if (fields.hasFault()) return;
  if (definition === undefined) {
    fields.refuse('malformed', unknown, 'Unknown property identifier.');
    return;
  }
  const { name, form } = definition;
  const before = found[name];
  const value = readValue(fields, form);
  if (fields.hasFault()) return;
  if ((definition.owners & owner) === 0) {
    fields.refuse('malformed', unknown, `A packet of this type has no property ${name}.`);
    return;
  }
  if (before !== undefined && (definition.repeats & owner) === 0) {
    fields.refuse('protocol', definition.rule, `The property ${name} must not be given twice.`);
    return;
  }
  if (typeof value === 'number') checkNumber(fields, definition, value);
  else if (name === 'responseTopic') checkResponseTopic(fields, definition, value as string);
  if (name === 'userProperties') {
    if (before === undefined) found[name] = [value as [string, string]];
    else (before as [string, string][]).push(value as [string, string]);
  } else if (name === 'subscriptionIdentifiers') {
    if (before === undefined) found[name] = [value as number];
    else (before as number[]).push(value as number);
  } else {
    found[name] = value as Value;
  }
}

function readValue(fields: Fields, form: Form): number | string | Buffer | [string, string] {
  switch (form) {
    case 'byte':
      return fields.readByte();
    case 'uint16':
      return fields.readUint16();
    case 'uint32':
      return fields.readUint32();
    case 'varint':
      return fields.readVarint();
    case 'text':
      return fields.readText();
    case 'name':
      return fields.readName();
    case 'binary':
      return fields.readBinary();
    case 'pair':
      return [fields.readText(), fields.readText()];
  }
}

function checkNumber(
  fields: Fields,
  { name, least, most, rule, reasonCode }: Definition,
  value: number,
): void {
  if (value >= least && value <= most) return;
  fields.refuse(
    reasonCode === undefined ? 'protocol' : 'topic',
    rule,
    `The property ${name} has an invalid value.`,
    reasonCode,
  );
}

function checkResponseTopic(fields: Fields, { rule }: Definition, topic: string): void {
  if (topic === '') fields.refuse('protocol', emptyTopic, 'A response topic must not be empty.');
  else if (hasWildcard(topic))
    fields.refuse('protocol', rule, 'A response topic must not contain wildcards.');
}

const emptyTopic = rule('4.7.3-1');

/** The bytes of the properties, without the length before them; leaves out those that `owner` does not have. */
export function propertiesBytes(properties: Properties, owner: Owner): number {
  if (properties === noProperties) return 0;
  let bytes = 0;
  for (const { name, form } of definitionsOf.get(owner)!) {
    const value = properties[name];
    if (value !== undefined) bytes += valueBytes(form, value);
  }
  return bytes;
}

function valueBytes(form: Form, value: Value): number {
  switch (form) {
    case 'byte':
      return 2;
    case 'uint16':
      return 3;
    case 'uint32':
      return 5;
    case 'varint':
      return (value as readonly number[]).reduce((bytes, id) => bytes + 1 + varintBytes(id), 0);
    case 'text':
    case 'name':
      return 3 + Buffer.byteLength(value as string);
    case 'binary':
      return 3 + (value as Buffer).length;
    case 'pair':
      return userPropertiesBytes(value as UserProperties);
  }
}

export function userPropertiesBytes(pairs: UserProperties): number {
  let bytes = 0;
  for (const [name, value] of pairs) bytes += 5 + Buffer.byteLength(name) + Buffer.byteLength(value);
  return bytes;
}

/** Writes the properties that `propertiesBytes` counted, and returns the position after them. */
export function writeProperties(bytes: Buffer, from: number, properties: Properties, owner: Owner): number {
  if (properties === noProperties) return from;
  let at = from;
  for (const { id, name, form } of definitionsOf.get(owner)!) {
    const value = properties[name];
    if (value !== undefined) at = writeProperty(bytes, at, id, form, value);
  }
  return at;
}

function writeProperty(bytes: Buffer, from: number, id: number, form: Form, value: Value): number {
  let at = from;
  if (form === 'pair') {
    for (const pair of value as UserProperties) at = writeUserProperty(bytes, at, pair[0], pair[1]);
    return at;
  }
  if (form === 'varint') {
    for (const one of value as readonly number[]) {
      bytes[at] = id;
      at = writeVarint(bytes, at + 1, one);
    }
    return at;
  }
  bytes[at++] = id;
  switch (form) {
    case 'byte':
      return bytes.writeUInt8(value as number, at);
    case 'uint16':
      return bytes.writeUInt16BE(value as number, at);
    case 'uint32':
      return bytes.writeUInt32BE(value as number, at);
    case 'text':
    case 'name':
      return writeText(bytes, at, value as string);
    case 'binary':
      return writeBinary(bytes, at, value as Buffer);
  }
}

export function writeUserProperty(bytes: Buffer, at: number, name: string, value: string): number {
  bytes[at] = 0x26;
  return writeText(bytes, writeText(bytes, at + 1, name), value);
}

/** Writes the length in two bytes, then the text. The caller has checked that it fits. */
export function writeText(bytes: Buffer, at: number, text: string): number {
  const length = bytes.write(text, at + 2);
  bytes.writeUInt16BE(length, at);
  return at + 2 + length;
}

export function writeBinary(bytes: Buffer, at: number, data: Buffer): number {
  bytes.writeUInt16BE(data.length, at);
  return at + 2 + data.copy(bytes, at + 2);
}
