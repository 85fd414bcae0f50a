import { defaultLimits } from '../../packages/server/src/config/limits.ts';
import {
  empty,
  field,
  nul,
  overlong,
  packet,
  properties,
  rawConnect,
  surrogate,
  uint16,
  uint32,
  varint,
  type Part,
} from '../clients/mqtt/raw-packets.ts';

/** BAD-INPUT sections 7 and 8, on a connection whose CONNECT was accepted unless `isFirst`. */
export interface MqttCase {
  /** Section, row, input. */
  readonly id: string;
  readonly what: string;
  readonly version: 4 | 5;
  readonly send: Buffer;
  readonly isFirst?: true;
  /**
   * `connack`, `disconnect`: with this reason, then the end. `close`: the end without a word. Another packet: that
   * answer, and the connection is of use afterwards. `stays`: no answer.
   */
  readonly answer:
    | {
        readonly kind: 'connack' | 'disconnect' | 'puback' | 'pubrec' | 'pubcomp' | 'pubrel' | 'suback';
        readonly reasonCode: number;
      }
    | { readonly kind: 'close' }
    | { readonly kind: 'stays' };
  /** Bytes that the case is about are missing: only the end of patience would show it. */
  readonly isUnfinished?: true;
}

type Input = Omit<MqttCase, 'id' | 'version'>;

function rows(section: 7 | 8, row: number, inputs: readonly Input[]): readonly MqttCase[] {
  const version = section === 7 ? 4 : 5;
  return inputs.map((input, at) => ({ id: `${section}.${row}.${at + 1}`, version, ...input }));
}

const close = { kind: 'close' } as const;
const stays = { kind: 'stays' } as const;
const connack = (reasonCode: number) => ({ kind: 'connack', reasonCode }) as const;
const disconnect = (reasonCode: number) => ({ kind: 'disconnect', reasonCode }) as const;
const ack = (kind: 'puback' | 'pubrec' | 'pubcomp' | 'pubrel' | 'suback', reasonCode: number) =>
  ({ kind, reasonCode }) as const;

const topic = 'case/bad';
const isFirst = true;

/** Of 3.1.1, and of 5 with an empty property list. */
const publish4 = (first: number, ...parts: Part[]) => packet(first, ...parts);
const subscribe4 = (filter: Part, qos = 0, first = 0x82) => packet(first, uint16(1), filter, qos);
const publish5 = (
  first: number,
  name: Part,
  id: number | undefined,
  given: Buffer = properties(),
  payload = 'x',
) => packet(first, name, ...(id === undefined ? [] : [uint16(id)]), given, Buffer.from(payload));
const subscribe5 = (filter: Part, options = 0, given: Buffer = properties()) =>
  packet(0x82, uint16(1), given, filter, options);
const connect5 = (given: Buffer, payload: Part[] = ['c']) => rawConnect(5, { properties: given, payload });

const { payloadBytesMax } = defaultLimits;
const hugeConnect = Buffer.concat([Buffer.from([0x10]), varint(256_000_000), Buffer.alloc(8)]);
const hugePublish = Buffer.concat([Buffer.from([0x30]), varint(200_000_000), Buffer.alloc(8)]);

export const cases: readonly MqttCase[] = [
  ...rows(7, 1, [
    { what: 'PUBLISH first', send: publish4(0x30, topic, Buffer.from('x')), isFirst, answer: close },
    { what: 'PINGREQ first', send: Buffer.from([0xc0, 0]), isFirst, answer: close },
    { what: 'a second CONNECT', send: rawConnect(4), answer: close },
  ]),
  ...rows(7, 2, [
    { what: 'another protocol name', send: rawConnect(4, { name: 'MQTX' }), isFirst, answer: close },
    { what: 'level 3 with the name MQTT', send: rawConnect(4, { level: 3 }), isFirst, answer: connack(0x84) },
    // Level 6 is answered as MQTT 5 does: 8.3.1.
    {
      what: 'level 0x83 with the name MQTT',
      send: rawConnect(4, { level: 0x83 }),
      isFirst,
      answer: connack(0x84),
    },
  ]),
  ...rows(7, 3, [
    { what: 'the reserved connect flag', send: rawConnect(4, { flags: 3 }), isFirst, answer: close },
    { what: 'reserved flags of CONNECT', send: rawConnect(4, { first: 0x11 }), isFirst, answer: close },
    { what: 'reserved flags of PINGREQ', send: Buffer.from([0xc1, 0]), answer: close },
  ]),
  ...rows(7, 4, [
    {
      what: 'Will QoS 3',
      send: rawConnect(4, { flags: 0x1e, payload: ['c', topic, 'x'] }),
      isFirst,
      answer: close,
    },
    { what: 'Will QoS without a will', send: rawConnect(4, { flags: 0x0a }), isFirst, answer: close },
    { what: 'Will Retain without a will', send: rawConnect(4, { flags: 0x22 }), isFirst, answer: close },
  ]),
  ...rows(7, 5, [
    {
      what: 'a password without user name',
      send: rawConnect(4, { flags: 0x42, payload: ['c', 'secret'] }),
      isFirst,
      answer: close,
    },
  ]),
  ...rows(7, 6, [
    {
      what: 'no client id for a session that is kept',
      send: rawConnect(4, { flags: 0, payload: [''] }),
      isFirst,
      answer: connack(0x85),
    },
  ]),
  ...rows(7, 8, [
    {
      what: 'a client id with a surrogate',
      send: rawConnect(4, { payload: [surrogate] }),
      isFirst,
      answer: close,
    },
    { what: 'a client id with NUL', send: rawConnect(4, { payload: [nul] }), isFirst, answer: close },
    { what: 'a topic that is overlong', send: publish4(0x30, overlong, Buffer.from('x')), answer: close },
    { what: 'a topic that is not UTF-8', send: publish4(0x30, field(0xff, 0xfe)), answer: close },
    { what: 'a topic with NUL', send: publish4(0x30, nul), answer: close },
    { what: 'a filter with a surrogate', send: subscribe4(surrogate), answer: close },
  ]),
  ...rows(7, 9, [
    { what: 'QoS 3', send: publish4(0x36, topic, uint16(1)), answer: close },
    { what: 'DUP with QoS 0', send: publish4(0x38, topic), answer: close },
    { what: 'packet id 0', send: publish4(0x32, topic, uint16(0)), answer: close },
  ]),
  ...rows(7, 10, [
    { what: 'a topic with +', send: publish4(0x30, 'case/+'), answer: close },
    { what: 'a topic with #', send: publish4(0x30, 'case/#'), answer: close },
    { what: 'an empty topic', send: publish4(0x30, ''), answer: close },
  ]),
  ...rows(7, 11, [
    { what: 'SUBSCRIBE with flags 0', send: subscribe4(topic, 0, 0x80), answer: close },
    { what: 'SUBSCRIBE without filters', send: packet(0x82, uint16(1)), answer: close },
    { what: 'SUBSCRIBE at QoS 3', send: subscribe4(topic, 3), answer: close },
    { what: 'UNSUBSCRIBE without filters', send: packet(0xa2, uint16(1)), answer: close },
  ]),
  ...rows(7, 12, [
    { what: 'the filter a#', send: subscribe4('a#'), answer: close },
    { what: 'the filter #/a', send: subscribe4('#/a'), answer: close },
    { what: 'the filter a+', send: subscribe4('a+'), answer: close },
    { what: 'a filter of the server', send: subscribe4('$other/x'), answer: ack('suback', 0x80) },
  ]),
  ...rows(7, 13, [
    { what: 'a forbidden PUBLISH at QoS 1', send: publish4(0x32, '$SYS/x', uint16(1)), answer: close },
    { what: 'a forbidden PUBLISH at QoS 0', send: publish4(0x30, '$SYS/x'), answer: close },
    { what: 'a name of 17 levels', send: publish4(0x30, '/'.repeat(17)), answer: close },
  ]),
  ...rows(7, 15, [
    { what: 'PUBREL of an unknown id', send: packet(0x62, uint16(9)), answer: ack('pubcomp', 0) },
  ]),
  ...rows(7, 16, [
    { what: 'PUBACK of an unknown id', send: packet(0x40, uint16(9)), answer: stays },
    { what: 'PUBCOMP of an unknown id', send: packet(0x70, uint16(9)), answer: stays },
    { what: 'PUBREC of an unknown id', send: packet(0x50, uint16(9)), answer: ack('pubrel', 0) },
  ]),
  ...rows(8, 1, [
    { what: 'a CONNECT of 256 MB', send: hugeConnect, isFirst, answer: close, isUnfinished: true },
    { what: 'a PUBLISH of 200 MB first', send: hugePublish, isFirst, answer: close, isUnfinished: true },
    { what: 'a PUBLISH of 200 MB', send: hugePublish, answer: disconnect(0x95), isUnfinished: true },
  ]),
  ...rows(8, 2, [
    { what: 'SUBSCRIBE first', send: subscribe5(topic), isFirst, answer: close },
    { what: 'a second CONNECT', send: rawConnect(5), answer: disconnect(0x82) },
  ]),
  ...rows(8, 3, [{ what: 'version 6', send: rawConnect(5, { level: 6 }), isFirst, answer: connack(0x84) }]),
  ...rows(8, 5, [
    { what: 'the reserved connect flag', send: rawConnect(5, { flags: 3 }), isFirst, answer: connack(0x81) },
    { what: 'Will QoS without a will', send: rawConnect(5, { flags: 0x0a }), isFirst, answer: connack(0x81) },
  ]),
  ...rows(8, 6, [
    {
      what: 'Will QoS 3',
      send: rawConnect(5, { flags: 0x1e, payload: ['c', properties(), topic, 'x'] }),
      isFirst,
      answer: connack(0x81),
    },
  ]),
  ...rows(8, 7, [
    {
      what: 'a client id with a surrogate',
      send: connect5(properties(), [surrogate]),
      isFirst,
      answer: connack(0x81),
    },
    { what: 'a client id with NUL', send: connect5(properties(), [nul]), isFirst, answer: connack(0x81) },
    {
      what: 'a topic with a surrogate',
      send: publish5(0x30, surrogate, undefined),
      answer: disconnect(0x81),
    },
    {
      what: 'a user property with NUL',
      send: publish5(0x30, topic, undefined, properties(0x26, nul, 'x')),
      answer: disconnect(0x81),
    },
  ]),
  ...rows(8, 8, [
    {
      what: 'a property twice',
      send: connect5(properties(0x11, uint32(1), 0x11, uint32(1))),
      isFirst,
      answer: connack(0x82),
    },
    {
      what: 'Receive Maximum 0',
      send: connect5(properties(0x21, uint16(0))),
      isFirst,
      answer: connack(0x82),
    },
    {
      what: 'Maximum Packet Size 0',
      send: connect5(properties(0x27, uint32(0))),
      isFirst,
      answer: connack(0x82),
    },
  ]),
  ...rows(8, 9, [
    {
      what: 'bytes left over in CONNECT',
      send: connect5(properties(), ['c', 'more']),
      isFirst,
      answer: connack(0x81),
    },
    {
      what: 'bytes left over in SUBSCRIBE',
      send: packet(0x82, uint16(1), properties(), topic, 0, 0),
      answer: disconnect(0x81),
    },
  ]),
  ...rows(8, 10, [
    { what: 'a length that is not minimal', send: Buffer.from([0xc0, 0x80, 0x00]), answer: disconnect(0x81) },
    {
      what: 'a length of five bytes',
      send: Buffer.from([0x30, 0xff, 0xff, 0xff, 0xff, 0x01]),
      answer: disconnect(0x81),
    },
  ]),
  ...rows(8, 11, [
    { what: 'an unknown property', send: connect5(properties(0x7f, 0)), isFirst, answer: connack(0x81) },
    {
      what: 'a property of another packet',
      send: publish5(0x30, topic, undefined, properties(0x11, uint32(1))),
      answer: disconnect(0x81),
    },
  ]),
  ...rows(8, 13, [
    {
      what: 'an unknown authentication method',
      send: connect5(properties(0x15, 'SCRAM')),
      isFirst,
      answer: connack(0x8c),
    },
    {
      what: 'AUTH without a method in CONNECT',
      send: packet(0xf0, 0x18, properties(0x15, 'SCRAM')),
      answer: disconnect(0x82),
    },
  ]),
  ...rows(8, 16, [{ what: 'QoS 3', send: publish5(0x36, topic, 1), answer: disconnect(0x81) }]),
  ...rows(8, 17, [
    { what: 'DUP with QoS 0', send: publish5(0x38, topic, undefined), answer: disconnect(0x81) },
    { what: 'packet id 0', send: publish5(0x32, topic, 0), answer: disconnect(0x82) },
  ]),
  ...rows(8, 19, [
    { what: 'a topic with +', send: publish5(0x32, 'case/+', 1), answer: disconnect(0x90) },
    { what: 'an empty topic without alias', send: publish5(0x30, '', undefined), answer: disconnect(0x82) },
    { what: 'a topic with NUL', send: publish5(0x30, nul, undefined), answer: disconnect(0x81) },
  ]),
  ...rows(8, 20, [
    {
      what: 'alias 0',
      send: publish5(0x30, topic, undefined, properties(0x23, uint16(0))),
      answer: disconnect(0x94),
    },
    {
      what: 'an alias above the maximum',
      send: publish5(0x30, topic, undefined, properties(0x23, uint16(17))),
      answer: disconnect(0x94),
    },
    {
      what: 'an alias that was never set',
      send: publish5(0x30, '', undefined, properties(0x23, uint16(3))),
      answer: disconnect(0x82),
    },
  ]),
  ...rows(8, 21, [
    {
      what: 'a Subscription Identifier in PUBLISH',
      send: publish5(0x30, topic, undefined, properties(0x0b, 1)),
      answer: disconnect(0x82),
    },
    {
      what: 'Subscription Identifier 0',
      send: subscribe5(topic, 0, properties(0x0b, 0)),
      answer: disconnect(0x82),
    },
  ]),
  ...rows(8, 22, [
    {
      what: 'a response topic with #',
      send: publish5(0x30, topic, undefined, properties(0x08, 'a/#')),
      answer: disconnect(0x82),
    },
  ]),
  ...rows(8, 23, [
    {
      what: 'a payload that is not the UTF-8 it says, at QoS 1',
      send: packet(0x32, topic, uint16(1), properties(0x01, 1), Buffer.from([0xff])),
      answer: ack('puback', 0x99),
    },
    {
      what: 'the same at QoS 2',
      send: packet(0x34, topic, uint16(1), properties(0x01, 1), Buffer.from([0xff])),
      answer: ack('pubrec', 0x99),
    },
    {
      what: 'the same at QoS 0',
      send: packet(0x30, topic, properties(0x01, 1), Buffer.from([0xff])),
      answer: disconnect(0x99),
    },
  ]),
  ...rows(8, 24, [
    {
      what: 'more QoS 2 than the receive maximum',
      send: Buffer.concat(
        Array.from({ length: 65 }, (_, at) => publish5(0x34, 'beside/receive-maximum', at + 1)),
      ),
      answer: disconnect(0x93),
    },
    {
      what: 'a packet above the maximum size',
      send: publish5(0x30, topic, undefined, properties(), 'x'.repeat(payloadBytesMax + 90_000)),
      answer: disconnect(0x95),
    },
  ]),
  ...rows(8, 25, [
    { what: 'a forbidden PUBLISH at QoS 1', send: publish5(0x32, '$SYS/x', 1), answer: ack('puback', 0x87) },
    { what: 'a forbidden PUBLISH at QoS 2', send: publish5(0x34, '$SYS/x', 1), answer: ack('pubrec', 0x87) },
    {
      what: 'a forbidden PUBLISH at QoS 0',
      send: publish5(0x30, '$SYS/x', undefined),
      answer: disconnect(0x87),
    },
    {
      what: 'a payload over the limit',
      send: publish5(0x32, topic, 1, properties(), 'x'.repeat(payloadBytesMax + 1)),
      answer: ack('puback', 0x97),
    },
  ]),
  ...rows(8, 27, [
    {
      what: 'SUBSCRIBE with flags 0',
      send: packet(0x80, uint16(1), properties(), topic, 0),
      answer: disconnect(0x81),
    },
    {
      what: 'SUBSCRIBE without filters',
      send: packet(0x82, uint16(1), properties()),
      answer: disconnect(0x82),
    },
  ]),
  ...rows(8, 28, [
    { what: 'reserved option bits', send: subscribe5(topic, 0x40), answer: disconnect(0x81) },
    { what: 'SUBSCRIBE at QoS 3', send: subscribe5(topic, 3), answer: disconnect(0x82) },
    { what: 'Retain Handling 3', send: subscribe5(topic, 0x30), answer: disconnect(0x82) },
  ]),
  ...rows(8, 29, [
    { what: 'the filter a#b', send: subscribe5('a#b'), answer: ack('suback', 0x8f) },
    { what: 'the filter a+', send: subscribe5('a+'), answer: ack('suback', 0x8f) },
    { what: 'an empty filter', send: subscribe5(''), answer: disconnect(0x81) },
  ]),
  ...rows(8, 30, [
    { what: 'a group without a name', send: subscribe5('$share//x'), answer: ack('suback', 0x8f) },
    { what: 'a group with a wildcard', send: subscribe5('$share/g+/x'), answer: ack('suback', 0x8f) },
    { what: 'a group without a filter', send: subscribe5('$share/g'), answer: ack('suback', 0x8f) },
    { what: 'No Local in a group', send: subscribe5('$share/g/x', 0x04), answer: disconnect(0x82) },
  ]),
  ...rows(8, 31, [
    { what: 'a filter of the server', send: subscribe5('$other/x'), answer: ack('suback', 0x8f) },
  ]),
  ...rows(8, 32, [
    { what: 'PINGREQ with a body', send: Buffer.from([0xc0, 1, 0]), answer: disconnect(0x81) },
  ]),
  ...rows(8, 33, [
    { what: 'reserved flags of PINGREQ', send: Buffer.from([0xc1, 0]), answer: disconnect(0x81) },
    { what: 'packet type 0', send: Buffer.from([0, 0]), answer: disconnect(0x81) },
    { what: 'a packet of the server', send: packet(0x20, 0, 0, properties()), answer: disconnect(0x82) },
  ]),
  ...rows(8, 34, [
    { what: 'PUBREL with flags 0', send: packet(0x60, uint16(1)), answer: disconnect(0x81) },
    { what: 'PUBREL of an unknown id', send: packet(0x62, uint16(9)), answer: ack('pubcomp', 0x92) },
  ]),
  ...rows(8, 35, [
    { what: 'reserved flags of DISCONNECT', send: Buffer.from([0xe1, 0]), answer: disconnect(0x81) },
    {
      what: 'a session expiry raised from 0',
      send: packet(0xe0, 0, properties(0x11, uint32(10))),
      answer: disconnect(0x82),
    },
  ]),
];

/** A message that must not be stored behind what is fatal. */
export function behind(version: 4 | 5, name: string): Buffer {
  return packet(0x30, name, empty(version), Buffer.from('behind'));
}
