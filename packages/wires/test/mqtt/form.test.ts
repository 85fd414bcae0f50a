import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { mqttNativeByte } from '../../../server/src/transports/mqtt/limits.ts';
import {
  clientReader,
  encodePacket,
  serverReader,
  type AckProperties,
  type Packet,
  type Publish,
  type PublishProperties,
  type Version,
} from '../../src/mqtt/index.ts';
import { draftOf, propertiesOf } from '../../../server/src/transports/mqtt/convert.ts';
import {
  fillPacketIds,
  publishFormat,
  type PublishFormatOptions,
} from '../../../server/src/transports/mqtt/format.ts';
import { makeMessage } from '../../../server/test/core/make-message.ts';
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
  varint,
  type Part,
  type RawConnect,
} from '../../../../test/clients/mqtt/raw-packets.ts';
import { bytewise, connectedReader, packetBytesMax, plainConnect, readAll } from './reading.ts';
import { mqtt311, mqtt5, type Statement } from './statements.ts';

/** One test for each normative statement about what bytes look like, named by its number. */

type Check = () => void;

const root = fileURLToPath(new URL('../../../..', import.meta.url));

const id = uint16(7);

/** What a server's reader says of a first packet. */
const first = (bytes: Buffer) => readAll(serverReader({ packetBytesMax }), [bytes])[0];
/** What a server's reader says of a packet behind the CONNECT. */
const later = (version: Version, bytes: Buffer) => readAll(connectedReader(version), [bytes])[0];
/** What a client's reader says. */
const fromServer = (version: Version, bytes: Buffer) =>
  readAll(clientReader(version, { packetBytesMax }), [bytes])[0];

const fault = (statement: string, reasonCode = 0x81) => ({ type: 'fault', statement, reasonCode });

function refuseConnect(version: Version, given: RawConnect, statement: string, reasonCode = 0x81): void {
  expect(first(rawConnect(version, given))).toMatchObject(fault(statement, reasonCode));
}

function refuse(version: Version, bytes: Buffer, statement: string, reasonCode = 0x81): void {
  expect(later(version, bytes)).toMatchObject(fault(statement, reasonCode));
}

const publish = (version: Version, topic: Part, ...rest: readonly Part[]) =>
  packet(0x30, topic, empty(version), ...rest);
const publishWith = (...parts: readonly Part[]) => packet(0x30, 't', properties(...parts));
const subscribe = (version: Version, ...filters: readonly Part[]) =>
  packet(0x82, id, empty(version), ...filters);
const unsubscribe = (version: Version, ...filters: readonly Part[]) =>
  packet(0xa2, id, empty(version), ...filters);

/** What comes out of what a publisher said, by way of a message. */
function delivered(said: PublishProperties): PublishProperties {
  const draft = draftOf({ ...plainPublish, properties: said });
  return propertiesOf(makeMessage({ ...draft, type: draft.type!, timeMs: 0 }), undefined);
}

const plainPublish: Publish = {
  type: 'publish',
  topic: 't',
  payload: Buffer.from('x'),
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  properties: {},
};

/** Deliveries of messages that were published by MQTT as given. */
function deliveries(
  published: readonly { qos: number; retain?: boolean }[],
  options: Partial<PublishFormatOptions>,
): Publish[] {
  const all: PublishFormatOptions = {
    version: 4,
    link: 'tcp',
    qos: 2,
    retain: 'clear',
    dup: false,
    withCursor: false,
    subscriptionIdentifiers: [],
    nowMs: undefined,
    ...options,
  };
  const messages = published.map(({ qos, retain }) =>
    makeMessage({ native: Buffer.from([mqttNativeByte, qos]), retain }),
  );
  const encoded = publishFormat(all).encode(messages);
  const filled = fillPacketIds(
    encoded,
    encoded.slots.map((_, index) => index + 1),
  );
  return readAll(clientReader(all.version, { packetBytesMax }), [filled]) as Publish[];
}

/** The property is left out, and only then is the packet small enough. */
function checkShed(make: (said: AckProperties) => Packet, name: keyof AckProperties): Check {
  return () => {
    const said: AckProperties =
      name === 'reasonString'
        ? { reasonString: 'r'.repeat(50) }
        : { userProperties: [['n', 'v'.repeat(50)]] };
    const whole = encodePacket(make(said), 5)!;
    expect(encodePacket(make(said), 5, whole.length)).toEqual(whole);
    expect(encodePacket(make(said), 5, whole.length - 1)).toEqual(encodePacket(make({}), 5));
  };
}

const acked = (type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp') => (said: AckProperties) => ({
  type,
  packetId: 7,
  reasonCode: type === 'pubrel' || type === 'pubcomp' ? 0x92 : 0x87,
  properties: said,
});

function checkAckCodes(first: number, statement: string, allowed: number): Check {
  return () => {
    expect(later(5, packet(first, id, allowed))).toMatchObject({ reasonCode: allowed });
    refuse(5, packet(first, id, 0x02), statement, 0x82);
    refuse(5, packet(first, id, 0x8d), statement, 0x82);
  };
}

function checkText(
  make: (text: Part) => Buffer,
  statement: string,
  read = (bytes: Buffer) => later(5, bytes),
): Check {
  return () => {
    expect(read(make('\u00e9\u{2a6d4}'))).not.toMatchObject({ type: 'fault' });
    for (const bad of [surrogate, overlong, field(0xff)])
      expect(read(make(bad))).toMatchObject(fault(statement));
    expect(read(make(nul))).toMatchObject(fault('1.5.4-2'));
  };
}

function checkText311(
  make: (text: Part) => Buffer,
  statement: string,
  read = (bytes: Buffer) => later(4, bytes),
): Check {
  return () => {
    expect(read(make('\u00e9\u{2a6d4}'))).not.toMatchObject({ type: 'fault' });
    for (const bad of [surrogate, overlong, field(0xff)])
      expect(read(make(bad))).toMatchObject(fault(statement));
    expect(read(make(nul))).toMatchObject(fault('1.5.3-2'));
  };
}

/** Flags of the first byte: `right` passes, every other of the sixteen is malformed. */
function checkFlags(
  version: Version,
  type: number,
  right: number,
  body: readonly Part[],
  statement: string,
): Check {
  return () => {
    for (let flags = 0; flags < 16; flags += 1) {
      const said = later(version, packet((type << 4) | flags, ...body));
      if (flags === right) expect(said).not.toMatchObject({ type: 'fault' });
      else expect(said).toMatchObject(fault(statement));
    }
  };
}

/** A will, user name or password that the flags announce must be there, and what they do not announce must not. */
function checkPayload(version: Version, flags: number, there: readonly Part[], statement: string): Check {
  return () => {
    expect(first(rawConnect(version, { flags, payload: ['c', ...there] }))).toMatchObject({
      type: 'connect',
    });
    refuseConnect(version, { flags, payload: ['c', ...there.slice(0, -1)] }, statement);
  };
}

function checkNothingElse(version: Version, flags: number, payload: readonly Part[]): Check {
  return () => {
    refuseConnect(version, { flags, payload: ['c', ...payload] }, '3.1.4-1');
  };
}

function checkOrder(version: Version): Check {
  return () => {
    const payload = ['client', empty(version), 'will/topic', 'will', 'user', 'password'];
    expect(first(rawConnect(version, { flags: 0xc6, payload }))).toMatchObject({
      clientId: 'client',
      will: { topic: 'will/topic', payload: Buffer.from('will') },
      userName: 'user',
      password: Buffer.from('password'),
    });
  };
}

function checkPlainClientIds(version: Version): Check {
  return () => {
    const letters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
    for (let from = 0; from < letters.length; from += 23) {
      const clientId = letters.slice(from, from + 23);
      expect(first(rawConnect(version, { payload: [clientId] }))).toMatchObject({ clientId });
    }
    expect(first(rawConnect(version, { payload: ['x'] }))).toMatchObject({ clientId: 'x' });
  };
}

function checkBom(version: Version): Check {
  return () => {
    const marked = field(0xef, 0xbb, 0xbf, 0x61);
    expect(later(version, publish(version, marked))).toMatchObject({ topic: '\ufeffa' });
  };
}

function checkFrames(version: Version): Check {
  return () => {
    const two = Buffer.concat([publish(version, 'one'), publish(version, 'two')]);
    const topics = (chunks: readonly Buffer[]) =>
      readAll(connectedReader(version), chunks).map((one) => (one as Publish).topic);
    expect(topics([two])).toEqual(['one', 'two']);
    expect(topics(bytewise(two))).toEqual(['one', 'two']);
    expect(topics([two.subarray(0, 3), two.subarray(3, 11), two.subarray(11)])).toEqual(['one', 'two']);
  };
}

function checkPacketIds(version: Version, statement: string): Check {
  return () => {
    const zero = uint16(0);
    const requests = [
      packet(0x82, zero, empty(version), 'a', 0),
      packet(0xa2, zero, empty(version), 'a'),
      packet(0x32, 't', zero, empty(version)),
      packet(0x34, 't', zero, empty(version)),
    ];
    for (const bytes of requests) refuse(version, bytes, statement, 0x82);
  };
}

function checkNoPacketId(version: Version): Check {
  return () => {
    // The payload is in the identifier's place.
    expect(later(version, publish(version, 't', id))).toMatchObject({ packetId: 0, payload: id });
    expect(encodePacket({ ...plainPublish, packetId: 9 }, version)).toEqual(
      publish(version, 't', Buffer.from('x')),
    );
  };
}

function checkLongNames(version: Version): Check {
  return () => {
    const long = 'x'.repeat(65_535);
    expect(later(version, publish(version, long))).toMatchObject({ topic: long });
    expect(() => encodePacket({ ...plainPublish, topic: `${long}x` }, version)).toThrow(RangeError);
  };
}

const suback = (said: AckProperties): Packet => ({
  type: 'suback',
  packetId: 7,
  reasonCodes: [0, 0x8f, 2],
  properties: said,
});
const unsuback = (said: AckProperties): Packet => ({
  type: 'unsuback',
  packetId: 7,
  reasonCodes: [0, 0x11, 0x87],
  properties: said,
});
const connack = (said: AckProperties): Packet => ({
  type: 'connack',
  sessionPresent: false,
  reasonCode: 0x87,
  properties: said,
});
const disconnect = (said: AckProperties): Packet => ({
  type: 'disconnect',
  reasonCode: 0x82,
  properties: said,
});
const auth = (said: AckProperties): Packet => ({
  type: 'auth',
  reasonCode: 0x18,
  properties: { authenticationMethod: 'm', ...said },
});

const userProperty = (name: Part, value: Part) => publishWith(0x26, name, value);

const five: Readonly<Record<string, Check>> = {
  '1.5.4-1': checkText((text) => userProperty('n', text), '1.5.4-1'),
  '1.5.4-2': () => {
    refuse(5, userProperty('n', nul), '1.5.4-2');
    refuse(5, publish(5, nul), '1.5.4-2');
  },
  '1.5.4-3': checkBom(5),
  '1.5.5-1': () => {
    const padded = [Buffer.from([0x80, 0x00]), Buffer.from([0x81, 0x80, 0x00])];
    for (const bytes of padded) refuse(5, packet(0x30, 't', bytes, Buffer.alloc(9)), '1.5.5-1');
    refuse(5, packet(0x30, 't', Buffer.from([0xff, 0xff, 0xff, 0xff, 0x01])), '1.5.5-1');
    refuse(5, Buffer.from([0xc0, 0x80, 0x00]), '1.5.5-1');
    refuse(5, Buffer.from([0xc0, 0xff, 0xff, 0xff, 0xff]), '1.5.5-1');
    const connect = rawConnect(5);
    const long = Buffer.concat([Buffer.from([0x10, connect[1]! | 0x80, 0]), connect.subarray(2)]);
    expect(first(long)).toMatchObject({ ...fault('1.5.5-1'), connackVersion: 5 });
    for (const value of [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]) {
      const request: Packet = {
        type: 'subscribe',
        packetId: 7,
        filters: [
          {
            filter: 'a',
            isWellFormed: true,
            qos: 0,
            noLocal: false,
            retainAsPublished: false,
            retainHandling: 0,
          },
        ],
        properties: value === 0 ? {} : { subscriptionIdentifiers: [value] },
      };
      const written = value === 0 ? properties() : properties(0x0b, varint(value));
      expect(encodePacket(request, 5)).toEqual(packet(0x82, id, written, 'a', 0));
    }
  },
  '1.5.7-1': () => {
    refuse(5, userProperty(surrogate, 'v'), '1.5.4-1');
    refuse(5, userProperty('n', surrogate), '1.5.4-1');
    expect(later(5, userProperty('', ''))).toMatchObject({ properties: { userProperties: [['', '']] } });
  },
  '2.1.3-1': () => {
    checkFlags(5, 4, 0, [id], '2.1.3-1')();
    checkFlags(5, 5, 0, [id], '2.1.3-1')();
    checkFlags(5, 7, 0, [id], '2.1.3-1')();
    checkFlags(5, 12, 0, [], '2.1.3-1')();
    for (let flags = 1; flags < 16; flags += 1) refuseConnect(5, { first: 0x10 | flags }, '2.1.3-1');
  },
  '2.2.1-2': checkNoPacketId(5),
  '2.2.1-3': checkPacketIds(5, '2.2.1-3'),
  '2.2.2-1': () => {
    refuse(5, packet(0x30, 't'), '4.13.1-1');
    expect(encodePacket(plainPublish, 5)).toEqual(publish(5, 't', Buffer.from('x')));
    refuse(5, packet(0x82, id), '4.13.1-1');
  },
  '3.1.0-1': () => {
    for (let type = 0; type < 16; type += 1) {
      const said = first(Buffer.from([type << 4, 0]));
      if (type !== 1) expect(said).toMatchObject(fault('3.1.0-1', 0x82));
    }
  },
  '3.1.0-2': () => {
    refuse(5, rawConnect(5), '3.1.0-2', 0x82);
  },
  '3.1.2-1': () => {
    for (const name of ['mqtt', 'MQT', 'MQTTT', '', 'HTTP']) {
      const said = first(rawConnect(5, { name }));
      expect(said).toMatchObject({ ...fault('3.1.2-1', 0x84), connackVersion: 5 });
    }
  },
  '3.1.2-2': () => {
    for (const level of [6, 0x85, 255]) {
      const said = first(rawConnect(5, { level }));
      expect(said).toMatchObject({ ...fault('3.1.2-2', 0x84), connackVersion: 5 });
    }
  },
  '3.1.2-3': () => {
    refuseConnect(5, { flags: 3 }, '3.1.2-3');
  },
  '3.1.2-9': () => {
    checkPayload(5, 0x06, [0, 't', 'p'], '4.13.1-1')();
    refuseConnect(5, { flags: 0x06, payload: ['c', 0] }, '4.13.1-1');
    refuseConnect(5, { flags: 0x06, payload: ['c'] }, '4.13.1-1');
  },
  '3.1.2-11': () => {
    refuseConnect(5, { flags: 0x0a }, '3.1.2-11');
    refuseConnect(5, { flags: 0x12 }, '3.1.2-11');
  },
  '3.1.2-12': () => {
    refuseConnect(5, { flags: 0x1e, payload: ['c', 0, 't', 'p'] }, '3.1.2-12');
    for (const qos of [0, 1, 2]) {
      const said = first(rawConnect(5, { flags: 0x06 | (qos << 3), payload: ['c', 0, 't', 'p'] }));
      expect(said).toMatchObject({ will: { qos } });
    }
  },
  '3.1.2-13': () => {
    refuseConnect(5, { flags: 0x22 }, '3.1.2-13');
  },
  '3.1.2-16': checkNothingElse(5, 0x02, ['user']),
  '3.1.2-17': checkPayload(5, 0x82, ['user'], '4.13.1-1'),
  '3.1.2-18': checkNothingElse(5, 0x82, ['user', 'password']),
  '3.1.2-19': () => {
    checkPayload(5, 0xc2, ['user', 'password'], '4.13.1-1')();
    // MQTT 5 has passwords without user names.
    checkPayload(5, 0x42, ['password'], '4.13.1-1')();
  },
  '3.1.3-1': checkOrder(5),
  '3.1.3-3': () => {
    refuseConnect(5, { payload: [] }, '4.13.1-1');
  },
  '3.1.3-4': checkText((text) => rawConnect(5, { payload: [text] }), '3.1.3-4', first),
  '3.1.3-5': checkPlainClientIds(5),
  '3.1.3-8': () => {
    refuseConnect(5, { payload: ['a\u0001'] }, '3.1.3-8', 0x85);
    refuseConnect(5, { payload: ['a\u009f'] }, '3.1.3-8', 0x85);
  },
  '3.1.3-11': checkText(
    (text) => rawConnect(5, { flags: 6, payload: ['c', 0, text, 'p'] }),
    '3.1.3-11',
    first,
  ),
  '3.1.3-12': checkText((text) => rawConnect(5, { flags: 0x82, payload: ['c', text] }), '3.1.3-12', first),
  '3.1.4-1': () => {
    const good = rawConnect(5, { flags: 0xc6, payload: ['c', 0, 't', 'p', 'user', 'password'] });
    const body = good.subarray(2);
    for (let end = 0; end < body.length; end += 1) {
      expect(first(packet(0x10, body.subarray(0, end)))).toMatchObject({ type: 'fault' });
    }
    expect(first(packet(0x10, body, 0))).toMatchObject({ ...fault('3.1.4-1'), connackVersion: 5 });
  },
  '3.2.2-1': () => {
    for (let flags = 2; flags < 256; flags *= 2) {
      expect(fromServer(5, packet(0x20, flags, 0, 0))).toMatchObject(fault('3.2.2-1'));
    }
  },
  '3.2.2-6': () => {
    expect(fromServer(5, packet(0x20, 1, 0x87, 0))).toMatchObject(fault('3.2.2-6', 0x82));
    const refusal: Packet = { type: 'connack', sessionPresent: true, reasonCode: 0x87, properties: {} };
    expect(encodePacket(refusal, 5)).toEqual(packet(0x20, 0, 0x87, 0));
  },
  '3.2.2-8': () => {
    for (const code of [0, 0x81, 0x84, 0x9f]) {
      expect(fromServer(5, packet(0x20, 0, code, 0))).toMatchObject({ reasonCode: code });
    }
    for (const code of [1, 0x10, 0x8b, 0x92, 0xff]) {
      expect(fromServer(5, packet(0x20, 0, code, 0))).toMatchObject(fault('3.2.2-8', 0x82));
    }
  },
  '3.2.2-15': () => {
    const bytes = publish(5, 't', Buffer.alloc(100));
    const reader = connectedReader(5);
    reader.packetBytesMax = bytes.length - 1;
    expect(readAll(reader, [bytes])).toMatchObject([fault('3.2.2-15', 0x95)]);
  },
  '3.2.2-19': checkShed(connack, 'reasonString'),
  '3.2.2-20': checkShed(connack, 'userProperties'),
  '3.3.1-2': () => {
    refuse(5, packet(0x38, 't', 0), '3.3.1-2');
  },
  '3.3.1-3': () => {
    const draft = draftOf({ ...plainPublish, qos: 1, packetId: 1, dup: true });
    const again = draftOf({ ...plainPublish, qos: 1, packetId: 1, dup: false });
    expect(draft).toEqual(again);
  },
  '3.3.1-4': () => {
    refuse(5, packet(0x36, 't', id, 0), '3.3.1-4');
    refuse(5, packet(0x3e, 't', id, 0), '3.3.1-4');
  },
  '3.3.1-12': () => {
    expect(deliveries([{ qos: 0, retain: true }], { retain: 'clear' })).toMatchObject([{ retain: false }]);
  },
  '3.3.1-13': () => {
    const both = deliveries([{ qos: 0, retain: true }, { qos: 0 }], { retain: 'as-published' });
    expect(both).toMatchObject([{ retain: true }, { retain: false }]);
  },
  '3.3.2-1': checkText((text) => publish(5, text), '3.3.2-1'),
  '3.3.2-2': () => {
    for (const topic of ['#', '+', 'a/#', 'a+b', 'a/+/b']) refuse(5, publish(5, topic), '3.3.2-2', 0x90);
  },
  '3.3.2-4': () => {
    for (const indicator of [0, 1] as const) {
      expect(delivered({ payloadFormatIndicator: indicator })).toEqual({ payloadFormatIndicator: indicator });
    }
    expect(delivered({})).toEqual({});
  },
  '3.3.2-6': () => {
    const message = makeMessage({ native: Buffer.from([1, 0]), timeMs: 5_000, expiresAtMs: 65_000 });
    expect(propertiesOf(message, 25_000)).toEqual({ messageExpiryIntervalSeconds: 40 });
  },
  '3.3.2-8': () => {
    refuse(5, publishWith(0x23, uint16(0)), '3.3.2-8', 0x94);
  },
  '3.3.2-13': checkText((text) => publishWith(0x08, text), '1.5.4-1'),
  '3.3.2-14': () => {
    for (const topic of ['#', 'a/+']) refuse(5, publishWith(0x08, topic), '3.3.2-14', 0x82);
  },
  '3.3.2-15': () => {
    expect(delivered({ responseTopic: 'answer/to/me' })).toEqual({ responseTopic: 'answer/to/me' });
  },
  '3.3.2-16': () => {
    const correlationData = Buffer.from([0, 255, 10]);
    expect(delivered({ correlationData })).toEqual({ correlationData });
    expect(delivered({ correlationData: Buffer.alloc(0) })).toEqual({ correlationData: Buffer.alloc(0) });
  },
  '3.3.2-17': () => {
    const userProperties: [string, string][] = [
      ['', ''],
      ['a', 'line\nbreak'],
      ['a', 'again'],
      ['__proto__', 'x'],
    ];
    expect(delivered({ userProperties })).toEqual({ userProperties });
  },
  '3.3.2-18': () => {
    const userProperties = ['z', 'a', '10', '9', 'a'].map((name, index): [string, string] => [
      name,
      `${index}`,
    ]);
    expect(delivered({ userProperties })).toEqual({ userProperties });
  },
  '3.3.2-19': checkText((text) => publishWith(0x03, text), '1.5.4-1'),
  '3.3.2-20': () => {
    for (const contentType of ['text/plain', 'text', '', 'application/json', 'é']) {
      expect(delivered({ contentType })).toEqual({ contentType });
    }
  },
  '3.3.4-4': () => {
    const [one] = deliveries([{ qos: 0 }], { version: 5, subscriptionIdentifiers: [1, 128, 268_435_455] });
    expect(one!.properties.subscriptionIdentifiers).toEqual([1, 128, 268_435_455]);
  },
  '3.3.4-6': () => {
    refuse(5, publishWith(0x0b, 1), '3.3.4-6', 0x82);
  },
  '3.4.2-1': checkAckCodes(0x40, '3.4.2-1', 0x97),
  '3.4.2-2': checkShed(acked('puback'), 'reasonString'),
  '3.4.2-3': checkShed(acked('puback'), 'userProperties'),
  '3.5.2-1': checkAckCodes(0x50, '3.5.2-1', 0x10),
  '3.5.2-2': checkShed(acked('pubrec'), 'reasonString'),
  '3.5.2-3': checkShed(acked('pubrec'), 'userProperties'),
  '3.6.1-1': checkFlags(5, 6, 2, [id], '3.6.1-1'),
  '3.6.2-1': checkAckCodes(0x62, '3.6.2-1', 0x92),
  '3.6.2-2': checkShed(acked('pubrel'), 'reasonString'),
  '3.6.2-3': checkShed(acked('pubrel'), 'userProperties'),
  '3.7.2-1': checkAckCodes(0x70, '3.7.2-1', 0x92),
  '3.7.2-2': checkShed(acked('pubcomp'), 'reasonString'),
  '3.7.2-3': checkShed(acked('pubcomp'), 'userProperties'),
  '3.8.1-1': checkFlags(5, 8, 2, [id, 0, 'a', 0], '3.8.1-1'),
  '3.8.3-1': checkText((text) => subscribe(5, text, 0), '3.8.3-1'),
  '3.8.3-2': () => {
    refuse(5, subscribe(5), '3.8.3-2', 0x82);
  },
  '3.8.3-4': () => {
    refuse(5, subscribe(5, '$share/g/a', 0x04), '3.8.3-4', 0x82);
    expect(later(5, subscribe(5, '$share/g/a', 0x01))).toMatchObject({ type: 'subscribe' });
  },
  '3.8.3-5': () => {
    refuse(5, subscribe(5, 'a', 0x40), '3.8.3-5');
    refuse(5, subscribe(5, 'a', 0x80), '3.8.3-5');
  },
  '3.8.4-8': () => {
    const qosOf = (qos: 0 | 1 | 2) =>
      deliveries([{ qos: 0 }, { qos: 1 }, { qos: 2 }], { version: 5, qos }).map((one) => one.qos);
    expect([qosOf(0), qosOf(1), qosOf(2)]).toEqual([
      [0, 0, 0],
      [0, 1, 1],
      [0, 1, 2],
    ]);
  },
  '3.9.2-1': checkShed(suback, 'reasonString'),
  '3.9.2-2': checkShed(suback, 'userProperties'),
  '3.9.3-1': () => {
    expect(encodePacket(suback({}), 5)).toEqual(packet(0x90, id, 0, 0, 0x8f, 2));
  },
  '3.9.3-2': () => {
    expect(fromServer(5, packet(0x90, id, 0, 0xa2))).toMatchObject({ reasonCodes: [0xa2] });
    expect(fromServer(5, packet(0x90, id, 0, 3))).toMatchObject(fault('3.9.3-2', 0x82));
  },
  '3.10.1-1': checkFlags(5, 10, 2, [id, 0, 'a'], '3.10.1-1'),
  '3.10.3-1': checkText((text) => unsubscribe(5, text), '3.10.3-1'),
  '3.10.3-2': () => {
    refuse(5, unsubscribe(5), '3.10.3-2', 0x82);
  },
  '3.11.2-1': checkShed(unsuback, 'reasonString'),
  '3.11.2-2': checkShed(unsuback, 'userProperties'),
  '3.11.3-1': () => {
    expect(encodePacket(unsuback({}), 5)).toEqual(packet(0xb0, id, 0, 0, 0x11, 0x87));
  },
  '3.11.3-2': () => {
    expect(fromServer(5, packet(0xb0, id, 0, 0x11))).toMatchObject({ reasonCodes: [0x11] });
    expect(fromServer(5, packet(0xb0, id, 0, 0x01))).toMatchObject(fault('3.11.3-2', 0x82));
  },
  '3.14.1-1': checkFlags(5, 14, 0, [], '3.14.1-1'),
  '3.14.2-1': () => {
    expect(later(5, packet(0xe0, 0x04))).toMatchObject({ reasonCode: 4 });
    refuse(5, packet(0xe0, 0x8e), '3.14.2-1', 0x82);
    expect(fromServer(5, packet(0xe0, 0x8e))).toMatchObject({ reasonCode: 0x8e });
    expect(fromServer(5, packet(0xe0, 0x04))).toMatchObject(fault('3.14.2-1', 0x82));
  },
  '3.14.2-2': () => {
    const bytes = packet(0xe0, 0, properties(0x11, Buffer.alloc(4)));
    expect(fromServer(5, bytes)).toMatchObject(fault('3.14.2-2', 0x82));
    expect(later(5, bytes)).toMatchObject({ type: 'disconnect' });
  },
  '3.14.2-3': checkShed(disconnect, 'reasonString'),
  '3.14.2-4': checkShed(disconnect, 'userProperties'),
  '3.15.1-1': checkFlags(5, 15, 0, [0x18, properties(0x15, 'm')], '3.15.1-1'),
  '3.15.2-1': () => {
    expect(later(5, packet(0xf0, 0x19, properties(0x15, 'm')))).toMatchObject({ reasonCode: 0x19 });
    for (const code of [0x00, 0x01, 0x87])
      refuse(5, packet(0xf0, code, properties(0x15, 'm')), '3.15.2-1', 0x82);
    refuse(5, packet(0xf0), '3.15.2-1', 0x82);
    expect(fromServer(5, packet(0xf0, 0x19, properties(0x15, 'm')))).toMatchObject(fault('3.15.2-1', 0x82));
  },
  '3.15.2-2': checkShed(auth, 'reasonString'),
  '3.15.2-3': checkShed(auth, 'userProperties'),
  '4.3.1-1': () => {
    expect(deliveries([{ qos: 0 }], { version: 5, dup: true })).toMatchObject([{ qos: 0, dup: false }]);
  },
  '4.7.0-1': () => {
    refuse(5, publish(5, 'a/+'), '3.3.2-2', 0x90);
    refuseConnect(5, { flags: 0x06, payload: ['c', 0, 'a/#', 'p'] }, '3.3.2-2', 0x90);
    expect(later(5, subscribe(5, 'a/+', 0))).toMatchObject({ filters: [{ isWellFormed: true }] });
  },
  '4.7.1-1': () => {
    for (const filter of ['a#', '#/a', 'a/#/b', 'a/b#', '##']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: false }] });
      expect(later(5, unsubscribe(5, filter))).toMatchObject({ filters: [{ filter, isWellFormed: false }] });
    }
    for (const filter of ['#', 'a/#', '/#', '+/#']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: true }] });
    }
  },
  '4.7.1-2': () => {
    for (const filter of ['a+', '+a', 'a/+b', '++', 'a/b+/c']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: false }] });
    }
    for (const filter of ['+', '+/+', 'a/+/c', '/+']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: true }] });
    }
  },
  '4.7.3-1': () => {
    refuse(5, publish(5, ''), '§3.3.2.1', 0x82);
    refuse(5, subscribe(5, '', 0), '4.7.3-1');
    refuse(5, unsubscribe(5, ''), '4.7.3-1');
    refuse(5, publishWith(0x08, ''), '4.7.3-1', 0x82);
    refuseConnect(5, { flags: 0x06, payload: ['c', 0, '', 'p'] }, '4.7.3-1', 0x90);
  },
  '4.7.3-2': () => {
    refuse(5, publish(5, nul), '1.5.4-2');
    refuse(5, subscribe(5, nul, 0), '1.5.4-2');
  },
  '4.7.3-3': checkLongNames(5),
  '4.8.2-1': () => {
    for (const filter of ['$share//a', '$share/']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: false }] });
    }
    expect(later(5, subscribe(5, '$share/g/a', 0))).toMatchObject({ filters: [{ isWellFormed: true }] });
  },
  '4.8.2-2': () => {
    for (const filter of ['$share/g', '$share/g/', '$share/g+/a', '$share/#/a', '$share/g/a#']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: false }] });
    }
    for (const filter of ['$share/g//a', '$share/g/+/#', '$shared/+']) {
      expect(later(5, subscribe(5, filter, 0))).toMatchObject({ filters: [{ filter, isWellFormed: true }] });
    }
  },
  '6.0.0-2': checkFrames(5),
};

const closes = (version: Version, bytes: Buffer, statement: string) => {
  expect(later(version, bytes)).toMatchObject({ type: 'fault', statement });
};

/** Refused without an answer, as 3.1.1 asks for of everything but the version and the client id. */
const closesConnect = (given: RawConnect, statement: string) => {
  const said = first(rawConnect(4, given));
  expect(said).toMatchObject({ type: 'fault', statement });
  expect(said).not.toHaveProperty('connackVersion');
};

const checkPayload311 = (flags: number, there: readonly Part[]): Check => {
  return () => {
    expect(first(rawConnect(4, { flags, payload: ['c', ...there] }))).toMatchObject({ type: 'connect' });
    closesConnect({ flags, payload: ['c', ...there.slice(0, -1)] }, '4.8.0-1');
  };
};

const older: Readonly<Record<string, Check>> = {
  '1.5.3-1': checkText311((text) => publish(4, text), '3.3.2-1'),
  '1.5.3-2': () => {
    closes(4, publish(4, nul), '1.5.3-2');
  },
  '1.5.3-3': checkBom(4),
  '2.2.2-1': () => {
    checkFlags(4, 4, 0, [id], '2.2.2-2')();
    checkFlags(4, 12, 0, [], '2.2.2-2')();
    for (let flags = 1; flags < 16; flags += 1) closesConnect({ first: 0x10 | flags }, '2.2.2-2');
  },
  '2.2.2-2': () => {
    checkFlags(4, 5, 0, [id], '2.2.2-2')();
    checkFlags(4, 7, 0, [id], '2.2.2-2')();
  },
  '2.3.1-1': checkPacketIds(4, '2.3.1-1'),
  '2.3.1-5': checkNoPacketId(4),
  '3.1.0-1': five['3.1.0-1']!,
  '3.1.0-2': () => {
    closes(4, rawConnect(4), '3.1.0-2');
  },
  '3.1.2-1': () => {
    for (const name of ['mqtt', 'MQT', 'MQTTT', '']) closesConnect({ name }, '3.1.2-1');
  },
  '3.1.2-2': () => {
    // A client of a level below 5 reads the form of MQTT 3.1.1, and so does every client of MQIsdp.
    for (const level of [0, 2, 3, 0x80, 0x83]) {
      expect(first(rawConnect(4, { level }))).toMatchObject({ kind: 'version', connackVersion: 4 });
    }
    for (const level of [0, 2, 4, 5, 6, 0x84, 255]) {
      const said = first(rawConnect(3, { name: 'MQIsdp', level }));
      expect(said).toMatchObject({ kind: 'version', connackVersion: 4 });
    }
    expect(first(rawConnect(4, { level: 0x84 }))).toMatchObject({
      type: 'connect',
      version: 4,
      isBridge: true,
    });
    expect(first(rawConnect(3, { level: 0x83 }))).toMatchObject({
      type: 'connect',
      version: 3,
      isBridge: true,
    });
    const refusal: Packet = { type: 'connack', sessionPresent: false, reasonCode: 0x84, properties: {} };
    expect(encodePacket(refusal, 4)).toEqual(packet(0x20, 0, 1));
  },
  '3.1.2-3': () => {
    closesConnect({ flags: 3 }, '3.1.2-3');
    // What 3.1 calls unused is not looked at there.
    expect(first(rawConnect(3, { flags: 3 }))).toMatchObject({ type: 'connect' });
  },
  '3.1.2-9': () => {
    checkPayload311(0x06, ['t', 'p'])();
    closesConnect({ flags: 0x06 }, '4.8.0-1');
  },
  '3.1.2-11': () => {
    closesConnect({ flags: 0x0a }, '3.1.2-13');
    closesConnect({ flags: 0x22 }, '3.1.2-15');
    closesConnect({ payload: ['c', 't', 'p'] }, '3.1.4-1');
  },
  '3.1.2-13': () => {
    closesConnect({ flags: 0x12 }, '3.1.2-13');
  },
  '3.1.2-14': () => {
    closesConnect({ flags: 0x1e, payload: ['c', 't', 'p'] }, '3.1.2-14');
  },
  '3.1.2-15': () => {
    closesConnect({ flags: 0x22 }, '3.1.2-15');
  },
  '3.1.2-18': () => {
    closesConnect({ payload: ['c', 'user'] }, '3.1.4-1');
  },
  '3.1.2-19': checkPayload311(0x82, ['user']),
  '3.1.2-20': () => {
    closesConnect({ flags: 0x82, payload: ['c', 'user', 'password'] }, '3.1.4-1');
  },
  '3.1.2-21': checkPayload311(0xc2, ['user', 'password']),
  '3.1.2-22': () => {
    closesConnect({ flags: 0x42, payload: ['c', 'password'] }, '3.1.2-22');
  },
  '3.1.3-1': checkOrder(4),
  '3.1.3-3': () => {
    closesConnect({ payload: [] }, '4.8.0-1');
  },
  '3.1.3-4': checkText311((text) => rawConnect(4, { payload: [text] }), '3.1.3-4', first),
  '3.1.3-5': () => {
    checkPlainClientIds(4)();
    checkPlainClientIds(3)();
  },
  '3.1.3-8': () => {
    const said = first(rawConnect(4, { flags: 0, payload: [''] }));
    expect(said).toMatchObject({ kind: 'identifier', statement: '3.1.3-8', connackVersion: 4 });
    expect(first(rawConnect(4, { flags: 2, payload: [''] }))).toMatchObject({ clientId: '' });
  },
  '3.1.3-9': () => {
    const refusal: Packet = { type: 'connack', sessionPresent: false, reasonCode: 0x85, properties: {} };
    expect(encodePacket(refusal, 4)).toEqual(packet(0x20, 0, 2));
    const said = first(rawConnect(3, { payload: [''] }));
    expect(said).toMatchObject({ kind: 'identifier', connackVersion: 3 });
  },
  '3.1.3-10': checkText311(
    (text) => rawConnect(4, { flags: 6, payload: ['c', text, 'p'] }),
    '3.1.3-10',
    first,
  ),
  '3.1.3-11': checkText311((text) => rawConnect(4, { flags: 0x82, payload: ['c', text] }), '3.1.3-11', first),
  '3.1.4-1': () => {
    const good = rawConnect(4, { flags: 0xc6, payload: ['c', 't', 'p', 'user', 'password'] });
    const body = good.subarray(2);
    for (let end = 0; end < body.length; end += 1) {
      const said = first(packet(0x10, body.subarray(0, end)));
      expect(said).toMatchObject({ type: 'fault' });
      expect(said).not.toHaveProperty('connackVersion');
    }
    closesConnect({ payload: ['c', 0] }, '3.1.4-1');
  },
  '3.2.2-4': () => {
    expect(fromServer(4, packet(0x20, 1, 5))).toMatchObject({ type: 'fault', statement: '3.2.2-4' });
    const refusal: Packet = { type: 'connack', sessionPresent: true, reasonCode: 0x87, properties: {} };
    expect(encodePacket(refusal, 4)).toEqual(packet(0x20, 0, 5));
  },
  '3.2.2-6': () => {
    const noWord: Packet = { type: 'connack', sessionPresent: false, reasonCode: 0x81, properties: {} };
    expect(encodePacket(noWord, 4)).toBeUndefined();
  },
  '3.3.1-2': () => {
    closes(4, packet(0x38, 't'), '3.3.1-2');
  },
  '3.3.1-3': five['3.3.1-3']!,
  '3.3.1-4': () => {
    closes(4, packet(0x36, 't', id), '3.3.1-4');
  },
  '3.3.1-8': () => {
    expect(deliveries([{ qos: 0 }], { retain: 'set' })).toMatchObject([{ retain: true }]);
  },
  '3.3.1-9': () => {
    expect(deliveries([{ qos: 0, retain: true }], { retain: 'clear' })).toMatchObject([{ retain: false }]);
  },
  '3.3.2-1': checkText311((text) => publish(4, text), '3.3.2-1'),
  '3.3.2-2': () => {
    for (const topic of ['#', '+', 'a/#', 'a+b']) closes(4, publish(4, topic), '3.3.2-2');
  },
  '3.6.1-1': checkFlags(4, 6, 2, [id], '3.6.1-1'),
  '3.8.1-1': checkFlags(4, 8, 2, [id, 'a', 0], '3.8.1-1'),
  '3.8.3-1': checkText311((text) => subscribe(4, text, 0), '3.8.3-1'),
  '3.8.3-3': () => {
    closes(4, subscribe(4), '3.8.3-3');
  },
  '3-8.3-4': () => {
    for (const options of [3, 4, 8, 0x10, 0x80]) closes(4, subscribe(4, 'a', options), '3-8.3-4');
  },
  '3.8.4-6': () => {
    expect(deliveries([{ qos: 2 }, { qos: 0 }], { qos: 1 }).map((one) => one.qos)).toEqual([1, 0]);
  },
  '3.9.3-1': () => {
    expect(encodePacket(suback({}), 4)).toEqual(packet(0x90, id, 0, 0x80, 2));
  },
  '3.9.3-2': () => {
    for (const code of [0, 1, 2, 0x80]) {
      expect(fromServer(4, packet(0x90, id, code))).toMatchObject({ reasonCodes: [code] });
    }
    expect(fromServer(4, packet(0x90, id, 0x87))).toMatchObject({ type: 'fault', statement: '3.9.3-2' });
  },
  '3.10.1-1': checkFlags(4, 10, 2, [id, 'a'], '3.10.1-1'),
  '3.10.3-1': checkText311((text) => unsubscribe(4, text), '3.10.3-1'),
  '3.10.3-2': () => {
    closes(4, unsubscribe(4), '3.10.3-2');
  },
  '3.14.1-1': checkFlags(4, 14, 0, [], '3.14.1-1'),
  '4.3.1-1': () => {
    expect(deliveries([{ qos: 0 }], { dup: true })).toMatchObject([{ qos: 0, dup: false }]);
  },
  '4.7.1-1': () => {
    closes(4, publish(4, 'a/#'), '3.3.2-2');
    expect(later(4, subscribe(4, 'a/#', 0))).toMatchObject({ filters: [{ isWellFormed: true }] });
  },
  '4.7.1-2': () => {
    for (const filter of ['a#', '#/a', 'a/#/b']) {
      closes(4, subscribe(4, filter, 0), '4.7.1-2');
      closes(4, unsubscribe(4, filter), '4.7.1-2');
    }
  },
  '4.7.1-3': () => {
    for (const filter of ['a+', '+a/b', '++']) closes(4, subscribe(4, filter, 0), '4.7.1-3');
  },
  '4.7.3-1': () => {
    closes(4, publish(4, ''), '4.7.3-1');
    closes(4, subscribe(4, '', 0), '4.7.3-1');
    closes(4, unsubscribe(4, ''), '4.7.3-1');
    closesConnect({ flags: 0x06, payload: ['c', '', 'p'] }, '4.7.3-1');
  },
  '4.7.3-2': () => {
    closes(4, subscribe(4, nul, 0), '1.5.3-2');
    closes(4, publish(4, nul), '1.5.3-2');
  },
  '4.7.3-3': checkLongNames(4),
  '6.0.0-2': checkFrames(4),
};

const standards: readonly (readonly [string, readonly Statement[], Readonly<Record<string, Check>>])[] = [
  ['MQTT 5', mqtt5, five],
  ['MQTT 3.1.1', mqtt311, older],
];

describe.each(standards)('%s', (_, statements, checks) => {
  const formal = statements.filter(({ place }) => place === 'form');

  test('every statement is listed once, and every one about form has its test', () => {
    const numbers = statements.map(({ number }) => number);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(Object.keys(checks).sort()).toEqual(formal.map(({ number }) => number).sort());
  });

  test('every file that tests one is there, and untested ones say why or are due', () => {
    const files = new Set(statements.flatMap(({ tests }) => tests ?? []));
    expect([...files].filter((file) => !existsSync(join(root, file)))).toEqual([]);
    expect(statements.filter(({ place, why }) => place === 'none' && why === undefined)).toEqual([]);
  });

  test.each(formal.map(({ number, rule }) => [number, rule] as const))('[MQTT-%s] %s', (number) => {
    checks[number]!();
  });
});

test('plainConnect is what rawConnect writes, so that neither is right by agreement with itself', () => {
  for (const version of [3, 4, 5] as const) {
    expect(encodePacket(plainConnect(version), version)).toEqual(rawConnect(version));
  }
});
