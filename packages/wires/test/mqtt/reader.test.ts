import { describe, expect, test } from 'vitest';
import { encodePacket, serverReader, type Publish } from '../../src/mqtt/index.ts';
import { bytewise, connectedReader, plainConnect, readAll } from './reading.ts';

const publish = (payload: Buffer): Publish => ({
  type: 'publish',
  topic: 'a/b',
  payload,
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
  properties: {},
});

describe('the announced length', () => {
  const announced = (first: number, length: number) => {
    const bytes = [first];
    for (let rest = length; ; rest >>>= 7) {
      bytes.push(rest >= 0x80 ? (rest & 0x7f) | 0x80 : rest);
      if (rest < 0x80) return Buffer.from(bytes);
    }
  };

  test.each([
    { name: 'MQTT', level: 5, kind: 'too_large', connackVersion: 5 },
    { name: 'MQTT', level: 4, kind: 'too_large', connackVersion: 4 },
    { name: 'MQTT', level: 0x84, kind: 'too_large', connackVersion: 4 },
    { name: 'MQIsdp', level: 3, kind: 'too_large', connackVersion: 3 },
    { name: 'MQIsdp', level: 9, kind: 'version', connackVersion: 4 },
    { name: 'MQTT', level: 9, kind: 'version', connackVersion: 5 },
    { name: 'HTTP', level: 5, kind: 'too_large', connackVersion: undefined },
  ])(
    'of a CONNECT of 256 MB of $name $level is refused with its level, before anything else is kept',
    ({ name, level, kind, connackVersion }) => {
      const reader = serverReader({ packetBytesMax: 16_384 });
      const first = Buffer.from([0, name.length, ...Buffer.from(name)]);
      const bytes = Buffer.concat([announced(0x10, 268_435_455).subarray(0, 5), first, Buffer.of(level)]);
      expect(readAll(reader, bytewise(bytes.subarray(0, -1)))).toEqual([]);
      expect(reader.pendingBytes).toBe(bytes.length - 1);
      const [refusal, ...more] = readAll(reader, [Buffer.concat([bytes.subarray(-1), Buffer.alloc(10_000)])]);
      expect(refusal).toMatchObject({ kind, ...(connackVersion === undefined ? {} : { connackVersion }) });
      expect(refusal).not.toHaveProperty('connackVersion', connackVersion === undefined ? 5 : 0);
      expect(more).toEqual([]);
      expect(reader.pendingBytes).toBe(0);
    },
  );

  test('of a CONNECT of 256 MB whose name cannot be one of MQTT is refused at once', () => {
    const reader = serverReader({ packetBytesMax: 16_384 });
    const bytes = Buffer.concat([announced(0x10, 268_435_455).subarray(0, 5), Buffer.of(0, 7)]);
    expect(readAll(reader, [bytes])).toMatchObject([{ kind: 'too_large', reasonCode: 0x95 }]);
    expect(reader.pendingBytes).toBe(0);
  });

  test('counts the fixed header: the limit itself passes, one byte more does not', () => {
    const reader = connectedReader(5);
    reader.packetBytesMax = 300;
    const largest = encodePacket(publish(Buffer.alloc(291)), 5)!;
    expect(largest.length).toBe(300);
    expect(readAll(reader, [largest])).toHaveLength(1);
    const larger = encodePacket(publish(Buffer.alloc(292)), 5)!;
    expect(readAll(reader, [larger.subarray(0, 3)])).toMatchObject([
      { kind: 'too_large', reasonCode: 0x95, statement: '3.2.2-15' },
    ]);
  });

  test('of a PUBLISH before MQTT 5 is read to its end, cut anywhere, and only its beginning is kept', () => {
    const large = encodePacket(publish(Buffer.alloc(1_000, 'z')), 4)!;
    const behind = encodePacket({ type: 'pingreq' }, 4)!;
    const bytes = Buffer.concat([large, behind]);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const reader = connectedReader(4);
      reader.packetBytesMax = 300;
      const { topic, qos, packetId } = publish(Buffer.alloc(0));
      expect(readAll(reader, [bytes.subarray(0, cut), bytes.subarray(cut)])).toMatchObject([
        { type: 'publish', topic, qos, packetId, payload: Buffer.alloc(0), oversizeBytes: large.length },
        { type: 'pingreq' },
      ]);
    }
  });

  test('is judged by the limit of the moment: raised once the peer is known', () => {
    const reader = serverReader({ packetBytesMax: 100 });
    reader.push(
      Buffer.concat([encodePacket(plainConnect(4), 4)!, encodePacket(publish(Buffer.alloc(1_000)), 4)!]),
    );
    expect(reader.next()).toMatchObject({ type: 'connect' });
    reader.packetBytesMax = 2_000;
    expect(reader.next()).toMatchObject({ type: 'publish' });
  });
});

describe('what is kept', () => {
  test('of a packet that comes slowly is at most twice what has come', () => {
    const reader = connectedReader(4);
    reader.packetBytesMax = 1_000_000;
    const bytes = encodePacket(publish(Buffer.alloc(900_000)), 4)!;
    // The announced 900 kB are not set aside for fifteen thousand bytes of them.
    for (let at = 0; at < 15_000; at += 100) reader.push(bytes.subarray(at, at + 100));
    expect(reader.next()).toBeUndefined();
    expect(reader.pendingBytes).toBe(15_000);
  });

  test('is a copy, so that a few bytes do not hold a large chunk', () => {
    const reader = connectedReader(4);
    const bytes = encodePacket(publish(Buffer.from('hello')), 4)!;
    const chunk = Buffer.alloc(65_536);
    bytes.copy(chunk, 65_530, 0, 6);
    const filler = chunk.subarray(65_530);
    reader.push(filler);
    expect(reader.next()).toBeUndefined();
    chunk.fill(0xff);
    reader.push(bytes.subarray(6));
    expect(reader.next()).toEqual(publish(Buffer.from('hello')));
  });

  test('of small packets in one chunk is nothing: payloads are parts of it', () => {
    const reader = connectedReader(4);
    const chunk = Buffer.concat(
      Array.from({ length: 100 }, () => encodePacket(publish(Buffer.from('x')), 4)!),
    );
    reader.push(chunk);
    for (let count = 0; count < 100; count += 1) {
      const packet = reader.next() as Publish;
      expect(packet.payload.buffer).toBe(chunk.buffer);
    }
    expect(reader.next()).toBeUndefined();
    expect(reader.pendingBytes).toBe(0);
  });
});

test('a packet of a megabyte, byte by byte and in small chunks, costs a copy or two', () => {
  const bytes = encodePacket(publish(Buffer.alloc(1_000_000, 'z')), 4)!;
  const reader = connectedReader(4);
  reader.packetBytesMax = 2_000_000;
  for (let at = 0; at < bytes.length; at += 7) {
    reader.push(bytes.subarray(at, at + 7));
    if (at + 7 < bytes.length) expect(reader.next()).toBeUndefined();
  }
  expect((reader.next() as Publish).payload.length).toBe(1_000_000);
}, 20_000);

test('packets left unread wait for the next push', () => {
  const reader = connectedReader(4);
  const one = encodePacket(publish(Buffer.from('1')), 4)!;
  reader.push(Buffer.concat([one, one.subarray(0, 3)]));
  reader.push(Buffer.concat([one.subarray(3), one]));
  const seen = [reader.next(), reader.next(), reader.next(), reader.next()];
  expect(seen.map((packet) => packet?.type)).toEqual(['publish', 'publish', 'publish', undefined]);
});

test('nothing is read behind a fault, whether it is there already or comes later', () => {
  const good = encodePacket(publish(Buffer.from('1')), 4)!;
  const reader = connectedReader(4);
  expect(readAll(reader, [Buffer.concat([Buffer.from([0x36, 0]), good])])).toMatchObject([{ type: 'fault' }]);
  reader.push(good);
  expect(reader.next()).toBeUndefined();
  expect(reader.pendingBytes).toBe(0);
});
