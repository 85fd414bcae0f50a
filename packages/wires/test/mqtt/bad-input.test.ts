import { describe, expect, test } from 'vitest';
import type { MqttFault, Version } from '../../src/mqtt/index.ts';
import { serverReader } from '../../src/mqtt/index.ts';
import {
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
} from '../../../../test/clients/mqtt/raw-packets.ts';
import { bytewise, connectedReader, packetBytesMax, readAll } from './reading.ts';

/**
 * Illegal packets and the reason code that MQTT 5 asks for; a reader of 3.1.1 gives the same and its caller closes.
 * Each comes whole, byte by byte, cut short at every byte, and with a packet behind it that must not be read.
 */
interface Row {
  readonly input: string;
  readonly bytes: Buffer;
  readonly code: number;
  readonly version?: Version;
  /** Sent first on its connection. */
  readonly isFirst?: true;
}

const id = uint16(7);
const none = properties();
const publish = (...parts: readonly Part[]) => packet(0x30, 't', properties(...parts));
const connectWith = (...parts: readonly Part[]) => rawConnect(5, { properties: properties(...parts) });

const unauthenticatedBytesMax = 16_384;

const rows: readonly Row[] = [
  {
    input: 'a CONNECT that announces 256 MB',
    bytes: Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5]),
    code: 0x95,
    isFirst: true,
  },
  {
    input: 'a PUBLISH of 200 MB before CONNECT',
    bytes: Buffer.from([0x30, 0x80, 0x84, 0xaf, 0x5f]),
    code: 0x82,
    isFirst: true,
  },
  {
    input: 'a PUBLISH of 200 MB behind CONNECT',
    bytes: Buffer.from([0x30, 0x80, 0x84, 0xaf, 0x5f]),
    code: 0x95,
  },
  { input: 'PINGREQ first', bytes: packet(0xc0), code: 0x82, isFirst: true },
  { input: 'a second CONNECT', bytes: rawConnect(5), code: 0x82 },
  { input: 'another protocol name', bytes: rawConnect(5, { name: 'MQIsdp' }), code: 0x84, isFirst: true },
  { input: 'version 6', bytes: rawConnect(5, { level: 6 }), code: 0x84, isFirst: true },
  { input: 'version 3 with the name MQTT', bytes: rawConnect(5, { level: 3 }), code: 0x84, isFirst: true },
  { input: 'the reserved connect flag', bytes: rawConnect(5, { flags: 0x03 }), code: 0x81, isFirst: true },
  { input: 'will QoS without a will', bytes: rawConnect(5, { flags: 0x0a }), code: 0x81, isFirst: true },
  { input: 'will retain without a will', bytes: rawConnect(5, { flags: 0x22 }), code: 0x81, isFirst: true },
  {
    input: 'will QoS 3',
    bytes: rawConnect(5, { flags: 0x1e, payload: ['c', none, 't', 'p'] }),
    code: 0x81,
    isFirst: true,
  },
  ...[surrogate, overlong, nul, field(0xff), field(0xc3)].map((text): Row => ({
    input: `a client id of ${text.subarray(2).toString('hex')}`,
    bytes: rawConnect(5, { payload: [text] }),
    code: 0x81,
    isFirst: true,
  })),
  ...[surrogate, overlong, nul].map((text): Row => ({
    input: `a topic of ${text.subarray(2).toString('hex')}`,
    bytes: packet(0x30, text, none),
    code: 0x81,
  })),
  {
    input: 'a property twice',
    bytes: connectWith(0x11, uint32(1), 0x11, uint32(1)),
    code: 0x82,
    isFirst: true,
  },
  { input: 'receive maximum 0', bytes: connectWith(0x21, uint16(0)), code: 0x82, isFirst: true },
  { input: 'maximum packet size 0', bytes: connectWith(0x27, uint32(0)), code: 0x82, isFirst: true },
  { input: 'request problem information 2', bytes: connectWith(0x17, 2), code: 0x82, isFirst: true },
  {
    input: 'authentication data without a method',
    bytes: connectWith(0x16, 'data'),
    code: 0x82,
    isFirst: true,
  },
  {
    input: 'bytes left over in CONNECT',
    bytes: rawConnect(5, { payload: ['c', 0] }),
    code: 0x81,
    isFirst: true,
  },
  { input: 'bytes left over in PUBACK', bytes: packet(0x40, id, 0, none, 0), code: 0x81 },
  { input: 'bytes left over in DISCONNECT', bytes: packet(0xe0, 0, none, 0), code: 0x81 },
  { input: 'a remaining length that is not minimal', bytes: Buffer.from([0xc0, 0x80, 0x00]), code: 0x81 },
  {
    input: 'a remaining length of five bytes',
    bytes: Buffer.from([0xc0, 0xff, 0xff, 0xff, 0xff, 0x01]),
    code: 0x81,
  },
  {
    input: 'a property length that is not minimal',
    bytes: packet(0x30, 't', Buffer.from([0x80, 0x00])),
    code: 0x81,
  },
  { input: 'a property length beyond the packet', bytes: packet(0x30, 't', varint(200)), code: 0x81 },
  { input: 'a property that is cut short', bytes: publish(0x02, uint16(1)), code: 0x81 },
  { input: 'an unknown property', bytes: publish(0x7f, 0), code: 0x81 },
  { input: 'a property of another packet', bytes: publish(0x21, uint16(1)), code: 0x81 },
  { input: 'PUBLISH QoS 3', bytes: packet(0x36, 't', id, none), code: 0x81 },
  { input: 'DUP with QoS 0', bytes: packet(0x38, 't', none), code: 0x81 },
  { input: 'packet id 0', bytes: packet(0x32, 't', uint16(0), none), code: 0x82 },
  { input: 'packet id 0 in PUBACK', bytes: packet(0x40, uint16(0)), code: 0x82 },
  { input: 'a topic with a wildcard', bytes: packet(0x30, 'a/#', none), code: 0x90 },
  { input: 'an empty topic without an alias', bytes: packet(0x30, '', none), code: 0x82 },
  { input: 'topic alias 0', bytes: publish(0x23, uint16(0)), code: 0x94 },
  { input: 'a subscription identifier in PUBLISH', bytes: publish(0x0b, 1), code: 0x82 },
  {
    input: 'a subscription identifier of 0',
    bytes: packet(0x82, id, properties(0x0b, 0), 'a', 0),
    code: 0x82,
  },
  {
    input: 'two subscription identifiers',
    bytes: packet(0x82, id, properties(0x0b, 1, 0x0b, 2), 'a', 0),
    code: 0x82,
  },
  { input: 'a response topic with a wildcard', bytes: publish(0x08, 'a/+'), code: 0x82 },
  { input: 'payload format indicator 2', bytes: publish(0x01, 2), code: 0x82 },
  { input: 'SUBSCRIBE with other flags', bytes: packet(0x80, id, none, 'a', 0), code: 0x81 },
  { input: 'SUBSCRIBE without filters', bytes: packet(0x82, id, none), code: 0x82 },
  { input: 'UNSUBSCRIBE without filters', bytes: packet(0xa2, id, none), code: 0x82 },
  { input: 'reserved subscription options', bytes: packet(0x82, id, none, 'a', 0x40), code: 0x81 },
  { input: 'a maximum QoS of 3', bytes: packet(0x82, id, none, 'a', 3), code: 0x82 },
  { input: 'retain handling 3', bytes: packet(0x82, id, none, 'a', 0x30), code: 0x82 },
  { input: 'an empty filter', bytes: packet(0x82, id, none, '', 0), code: 0x81 },
  { input: 'no local on a shared subscription', bytes: packet(0x82, id, none, '$share/g/a', 4), code: 0x82 },
  { input: 'PINGREQ with a body', bytes: packet(0xc0, 0), code: 0x81 },
  { input: 'PINGREQ with other flags', bytes: packet(0xc1), code: 0x81 },
  { input: 'packet type 0', bytes: packet(0x00), code: 0x81 },
  { input: 'CONNACK of a client', bytes: packet(0x20, 0, 0, none), code: 0x82 },
  { input: 'SUBACK of a client', bytes: packet(0x90, id, none, 0), code: 0x82 },
  { input: 'UNSUBACK of a client', bytes: packet(0xb0, id, none, 0), code: 0x82 },
  { input: 'PINGRESP of a client', bytes: packet(0xd0), code: 0x82 },
  { input: 'PUBREL with other flags', bytes: packet(0x60, id), code: 0x81 },
  { input: 'DISCONNECT with reserved bits', bytes: packet(0xe1), code: 0x81 },
  { input: 'AUTH without a method', bytes: packet(0xf0, 0x18, none), code: 0x82 },
  { input: 'AUTH in 3.1.1', bytes: packet(0xf0), code: 0x81, version: 4 },
  { input: 'a DISCONNECT with a reason code in 3.1.1', bytes: packet(0xe0, 0), code: 0x81, version: 4 },
  { input: 'the filter a# in 3.1.1', bytes: packet(0x82, id, 'a#', 0), code: 0x81, version: 4 },
  { input: 'the filter a+ in 3.1.1', bytes: packet(0x82, id, 'a+', 0), code: 0x81, version: 4 },
  {
    input: 'a password without a user name in 3.1.1',
    bytes: rawConnect(4, { flags: 0x42, payload: ['c', 'p'] }),
    code: 0x81,
    isFirst: true,
  },
  {
    input: 'an empty client id without clean session in 3.1.1',
    bytes: rawConnect(4, { flags: 0, payload: [''] }),
    code: 0x85,
    isFirst: true,
  },
  { input: 'an empty client id in 3.1', bytes: rawConnect(3, { payload: [''] }), code: 0x85, isFirst: true },
];

/** Legal, and so looking alike that a careless rule refuses them. */
const good: readonly (Omit<Row, 'code'> & { readonly type: string })[] = [
  {
    input: 'a password without a user name',
    bytes: rawConnect(5, { flags: 0x42, payload: ['c', 'p'] }),
    type: 'connect',
    isFirst: true,
  },
  {
    input: 'an empty client id',
    bytes: rawConnect(5, { flags: 0, payload: [''] }),
    type: 'connect',
    isFirst: true,
  },
  {
    input: 'a client id of 24 bytes in 3.1, as Mosquitto takes it',
    bytes: rawConnect(3, { payload: ['x'.repeat(24)] }),
    type: 'connect',
    isFirst: true,
  },
  { input: 'the unused flag in 3.1', bytes: rawConnect(3, { flags: 0x03 }), type: 'connect', isFirst: true },
  { input: 'header flags in 3.1', bytes: rawConnect(3, { first: 0x14 }), type: 'connect', isFirst: true },
  {
    input: 'an empty topic with an alias',
    bytes: packet(0x30, '', properties(0x23, uint16(1))),
    type: 'publish',
  },
  { input: 'an empty payload', bytes: packet(0x31, 't', none), type: 'publish' },
  { input: 'a topic that begins with $', bytes: packet(0x30, '$x/y', none), type: 'publish' },
  { input: 'an empty level', bytes: packet(0x30, '/a//b/', none), type: 'publish' },
  { input: 'a character beyond the basic plane', bytes: packet(0x30, 'A\u{2a6d4}', none), type: 'publish' },
  { input: 'an ill-formed filter', bytes: packet(0x82, id, none, 'a#b', 0), type: 'subscribe' },
  { input: 'PUBACK without a reason code', bytes: packet(0x40, id), type: 'puback' },
  { input: 'PUBACK without properties', bytes: packet(0x40, id, 0x10), type: 'puback' },
  {
    input: 'DISCONNECT with properties',
    bytes: packet(0xe0, 0, properties(0x11, uint32(0))),
    type: 'disconnect',
  },
  {
    input: 'a padded remaining length in 3.1.1',
    bytes: Buffer.from([0xc0, 0x80, 0x00]),
    type: 'pingreq',
    version: 4,
  },
];

function readerFor({ version = 5, isFirst }: Pick<Row, 'version' | 'isFirst'>) {
  return isFirst === true
    ? serverReader({ packetBytesMax: unauthenticatedBytesMax })
    : connectedReader(version);
}

const pingreq = packet(0xc0);

describe.each(rows)('$input', (row) => {
  test('is refused whole and byte by byte, and nothing behind it is read', () => {
    const wanted = [{ type: 'fault', reasonCode: row.code }];
    expect(readAll(readerFor(row), [row.bytes])).toMatchObject(wanted);
    expect(readAll(readerFor(row), bytewise(row.bytes))).toMatchObject(wanted);
    expect(readAll(readerFor(row), [Buffer.concat([row.bytes, pingreq])])).toMatchObject(wanted);
    expect(readAll(readerFor(row), [row.bytes, pingreq])).toMatchObject(wanted);
  });

  test('cut short is waited for, or refused alike', () => {
    for (let end = 0; end < row.bytes.length; end += 1) {
      const reader = readerFor(row);
      const said = readAll(reader, [row.bytes.subarray(0, end)]);
      if (said.length > 0) expect(said).toMatchObject([{ type: 'fault', reasonCode: row.code }]);
      else expect(reader.pendingBytes).toBe(end);
    }
  });
});

test.each(good)('$input is taken', (row) => {
  expect(readAll(readerFor(row), [row.bytes])).toMatchObject([{ type: row.type }]);
  const [, second] = readAll(readerFor(row), [Buffer.concat([row.bytes, pingreq])]);
  expect(second).toMatchObject({ type: 'pingreq' });
});

test('a refusal says nothing of what the peer sent', () => {
  for (const row of rows) {
    const [said] = readAll(readerFor(row), [row.bytes]) as MqttFault[];
    expect(said!.detail).toMatch(/^[A-Z][^"'`]+\.$/);
  }
  expect(packetBytesMax).toBeGreaterThan(unauthenticatedBytesMax);
});
