import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batch, type Encoded } from '../../../src/core/log/batch.ts';
import type { Message } from '../../../src/core/log/message.ts';
import { mqttNativeByte } from '../../../src/transports/mqtt/limits.ts';
import { clientReader, type Publish, type Version } from '@everywire/wires/mqtt';
import {
  fillPacketIds,
  packetBytes,
  publishFormat,
  type LinkKind,
  type PublishFormatOptions,
} from '../../../src/transports/mqtt/format.ts';
import { FrameReader } from '@everywire/wires/websocket';
import { makeMessage } from '../../core/make-message.ts';
import { readAll } from '../../../../wires/test/mqtt/reading.ts';

const plain: PublishFormatOptions = {
  version: 4,
  link: 'tcp',
  qos: 0,
  retain: 'clear',
  dup: false,
  withCursor: false,
  subscriptionIdentifiers: [],
  nowMs: undefined,
};

const published = (qos: number, given: Parameters<typeof makeMessage>[0] = {}): Message =>
  makeMessage({ native: Buffer.from([mqttNativeByte, qos]), ...given });

function encode(messages: readonly Message[], options: Partial<PublishFormatOptions>): Encoded {
  return publishFormat({ ...plain, ...options }).encode(messages);
}

/** What a client makes of the bytes, their packet ids filled in from 1. */
function received(encoded: Encoded, version: Version, link: LinkKind = 'tcp'): Publish[] {
  const filled = fillPacketIds(
    encoded,
    encoded.slots.map((_, index) => index + 1),
  );
  const reader = clientReader(version, { packetBytesMax: 1_000_000 });
  const packets = link === 'tcp' ? [filled] : unframe(filled);
  return readAll(reader, packets).map((packet) => {
    if (packet.type !== 'publish') throw new Error(`not a PUBLISH: ${JSON.stringify(packet)}`);
    return packet;
  });
}

/** A server's frames have no mask, which a reader of clients requires: it gets one of zeros. */
function unframe(bytes: Buffer): Buffer[] {
  const payloads: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const short = bytes[at + 1]!;
    expect(bytes[at], 'a whole binary frame').toBe(0x82);
    const header = short < 126 ? 2 : short === 126 ? 4 : 10;
    const length =
      short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
    payloads.push(bytes.subarray(at + header, at + header + length));
    at += header + length;
  }
  return payloads;
}

describe('the bytes of a run of messages', () => {
  test.each([3, 4, 5] as const)('are one PUBLISH for each, at level %i', (version) => {
    const messages = [published(0, { seq: 1 }), published(0, { seq: 2, payload: Buffer.alloc(200, 'y') })];
    expect(received(encode(messages, { version }), version)).toMatchObject([
      { topic: 'demo', payload: Buffer.from('m1'), qos: 0, packetId: 0, retain: false, dup: false },
      { topic: 'demo', payload: Buffer.alloc(200, 'y') },
    ]);
  });

  test('go out at the lower of the QoS of the message and of the subscription [MQTT-3.8.4-8]', () => {
    const messages = [0, 1, 2].map((qos) => published(qos));
    const qosOf = (granted: 0 | 1 | 2) =>
      received(encode(messages, { qos: granted }), 4).map(({ qos }) => qos);
    expect([qosOf(0), qosOf(1), qosOf(2)]).toEqual([
      [0, 0, 0],
      [0, 1, 1],
      [0, 1, 2],
    ]);
  });

  test('of another transport go out at the QoS of the subscription', () => {
    expect(received(encode([makeMessage()], { qos: 2 }), 4)).toMatchObject([{ qos: 2, packetId: 1 }]);
  });

  test('have a slot for each packet id, in order, which is filled in a copy', () => {
    const messages = [published(1, { seq: 1 }), published(0, { seq: 2 }), published(2, { seq: 3 })];
    const encoded = encode(messages, { version: 5, qos: 2 });
    const before = Buffer.from(encoded.bytes);
    expect(encoded.slots).toHaveLength(2);
    const filled = fillPacketIds(encoded, [0x1234, 0xffff]);
    expect(encoded.bytes).toEqual(before);
    const reader = clientReader(5, { packetBytesMax: 1_000 });
    expect(readAll(reader, [filled])).toMatchObject([
      { packetId: 0x1234 },
      { packetId: 0 },
      { packetId: 0xffff },
    ]);
  });

  test('carry DUP only above QoS 0 [MQTT-3.3.1-2]', () => {
    const messages = [published(0), published(1)];
    expect(received(encode(messages, { qos: 1, dup: true }), 4).map(({ dup }) => dup)).toEqual([false, true]);
  });

  test('carry RETAIN as asked for [MQTT-3.3.1-12, -13]', () => {
    const messages = [published(0, { retain: true }), published(0)];
    const retains = (retain: PublishFormatOptions['retain']) =>
      received(encode(messages, { retain }), 4).map((packet) => packet.retain);
    expect([retains('clear'), retains('as-published'), retains('set')]).toEqual([
      [false, false],
      [true, false],
      [true, true],
    ]);
  });

  test('carry subscription identifiers, cursor and offset in MQTT 5', () => {
    const [message] = [published(0, { seq: 7, offset: 3 })];
    const encoded = encode([message], { version: 5, withCursor: true, subscriptionIdentifiers: [1, 300] });
    expect(received(encoded, 5)[0]!.properties).toEqual({
      subscriptionIdentifiers: [1, 300],
      userProperties: [
        ['cursor', message.cursor],
        ['offset', '3'],
        ['everywire-id', 'ID7'],
      ],
    });
  });

  test('have the seconds that are left [MQTT-3.3.2-6], never more than were given', () => {
    const timeMs = 1_000_000_900;
    const message = published(0, { timeMs, expiresAtMs: timeMs + 60_000 });
    const left = (nowMs: number) =>
      received(encode([message], { version: 5, nowMs }), 5)[0]!.properties.messageExpiryIntervalSeconds;
    expect([timeMs, timeMs + 100, timeMs + 30_000, timeMs + 59_999].map(left)).toEqual([60, 59, 30, 1]);
  });
});

describe('over WebSocket', () => {
  test('each packet is a separate binary frame, of any length', () => {
    const messages = [0, 100, 130, 70_000].map((length, index) =>
      published(1, { seq: index + 1, payload: Buffer.alloc(length) }),
    );
    const encoded = encode(messages, { version: 5, link: 'websocket', qos: 1 });
    const packets = received(encoded, 5, 'websocket');
    expect(packets.map(({ payload }) => payload.length)).toEqual([0, 100, 130, 70_000]);
    expect(packets.map(({ packetId }) => packetId)).toEqual([1, 2, 3, 4]);
  });

  test('the frames are those that our own reader of frames takes', () => {
    const encoded = encode([published(0)], { link: 'websocket' });
    const masked = Buffer.concat([
      Buffer.from([encoded.bytes[0]!, encoded.bytes[1]! | 0x80, 0, 0, 0, 0]),
      encoded.bytes.subarray(2),
    ]);
    const reader = new FrameReader({ messageBytesMax: 1_000, fragmentsMax: 8 });
    reader.push(masked);
    expect(reader.next()).toMatchObject({ payload: encode([published(0)], {}).bytes });
  });
});

test('packetBytes is the size of the packet without its frame, for a peer with a maximum', () => {
  const lengths = [
    0, 60, 109, 110, 111, 112, 113, 114, 115, 116, 200, 65_000, 65_524, 65_530, 65_535, 70_000,
  ];
  const messages = lengths.map((length, index) =>
    published(0, { seq: index + 1, payload: Buffer.alloc(length) }),
  );
  const tcp = encode(messages, {});
  const websocket = encode(messages, { link: 'websocket' });
  const sizes = (encoded: Encoded, link: LinkKind) =>
    lengths.map((_, index) => packetBytes(encoded, index, link));
  expect(sizes(websocket, 'websocket')).toEqual(sizes(tcp, 'tcp'));
});

test('views of a batch are slices of the same bytes, with their slots', () => {
  const anyQos = fc.array(fc.constantFrom(0, 1, 2), { minLength: 2, maxLength: 8 });
  const link = fc.constantFrom<LinkKind>('tcp', 'websocket');
  fc.assert(
    fc.property(anyQos, link, fc.nat(), (qualities, kind, where) => {
      const batch = new Batch(qualities.map((qos, index) => published(qos, { seq: index + 1 })));
      const format = publishFormat({ ...plain, version: 5, link: kind, qos: 2 });
      const from = where % (qualities.length - 1);
      const whole = batch.as(format);
      const view = batch.since(from + 1)!.as(format);
      expect(view.bytes.buffer).toBe(whole.bytes.buffer);
      expect(received(view, 5, kind).map(({ qos }) => qos)).toEqual(qualities.slice(from + 1));
      expect(view.slots).toHaveLength(qualities.slice(from + 1).filter((qos) => qos > 0).length);
    }),
  );
});

describe('the id', () => {
  const id = (given: Partial<PublishFormatOptions>) => publishFormat({ ...plain, ...given }).id;

  test('is the same for the same bytes', () => {
    expect(id({})).toBe(id({ dup: true }));
    expect(id({ version: 3 })).toBe(id({ version: 4 }));
    expect(id({ nowMs: 5_000, withCursor: true, subscriptionIdentifiers: [4] })).toBe(id({}));
    expect(id({ version: 5, nowMs: 5_000 })).toBe(id({ version: 5, nowMs: 5_999 }));
  });

  test('is another for everything that changes the bytes', () => {
    const five = { version: 5 } as const;
    const all = [
      id({}),
      id({ link: 'websocket' }),
      id({ qos: 1 }),
      id({ qos: 2 }),
      id({ qos: 1, dup: true }),
      id({ retain: 'as-published' }),
      id({ retain: 'set' }),
      id(five),
      id({ ...five, withCursor: true }),
      id({ ...five, subscriptionIdentifiers: [1] }),
      id({ ...five, subscriptionIdentifiers: [1, 2] }),
      id({ ...five, subscriptionIdentifiers: [12] }),
      id({ ...five, nowMs: 5_000 }),
      id({ ...five, nowMs: 6_000 }),
    ];
    expect(new Set(all).size).toBe(all.length);
  });
});
