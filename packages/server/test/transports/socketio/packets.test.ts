import fc from 'fast-check';
import { Decoder, Encoder, PacketType } from 'socket.io-parser';
import { describe, expect, it } from 'vitest';
import { Batch } from '../../../src/core/log/batch.ts';
import {
  parsePayload,
  separator,
  IoFault,
  parseIoPacket,
  valueOfItem,
  type IoLimits,
  itemsOfArray,
} from '@everywire/wires/socketio';
import { deliveriesOf } from '../../../src/transports/socketio/format.ts';
import { FrameReader } from '@everywire/wires/websocket';
import { makeMessage } from '../../core/make-message.ts';

const limits: IoLimits = { attachmentsMax: 10, jsonDepthMax: 32, nameBytesMax: 255 };
const ioNamespaces = fc.constantFrom('/', '/chat', '/a/b', '/__proto__');

/** Values as applications send them: JSON with bytes in it. */
const values = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.jsonValue({ maxDepth: 2 }),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tie('value'), { maxKeys: 3 }),
  ),
})).value;

describe('Socket.IO packets', () => {
  it('are understood as the protocol’s own library writes them', () => {
    fc.assert(
      fc.property(
        ioNamespaces,
        fc.option(fc.nat(), { nil: undefined }),
        fc.constantFrom(PacketType.EVENT, PacketType.ACK),
        fc.array(values, { maxLength: 4 }),
        (nsp, id, type, args) => {
          const data = type === PacketType.EVENT ? ['event', ...args] : args;
          const packet = { type, nsp, data: structuredClone(data), ...(id === undefined ? {} : { id }) };
          const [text, ...attachments] = new Encoder().encode(
            restoreBuffers(packet) as Parameters<Encoder['encode']>[0],
          ) as [string, ...Buffer[]];
          const read = parseIoPacket(text, { ...limits, attachmentsMax: 1_000 });
          if (read instanceof IoFault) throw new Error(`${read.detail}: ${text}`);
          expect(read).toMatchObject({
            kind: type === PacketType.EVENT ? 'event' : 'ack',
            ioNamespace: nsp,
            id,
            attachments: attachments.length,
          });
          const back = read.items.map((item) => valueOfItem(item, attachments));
          expect(JSON.stringify(back)).toBe(JSON.stringify(data.map(jsonOf)));
        },
      ),
    );
  });

  it('of any text are a packet or a fault, never an error', () => {
    const pieces = fc.oneof(
      fc.string(),
      fc.constantFrom(
        '0',
        '1',
        '2',
        '3',
        '4',
        '5',
        '6',
        '-',
        '/',
        ',',
        '[',
        ']',
        '{',
        '}',
        '"',
        '\\',
        '["a"]',
        '51-',
      ),
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const read = parseIoPacket(parts.join(''), limits);
        expect(read).toBeTypeOf('object');
      }),
      { numRuns: 2_000 },
    );
  });

  it('keep the items of their array as they were written', () => {
    fc.assert(
      fc.property(fc.array(fc.json(), { maxLength: 6 }), fc.constantFrom('', ' ', '\n\t'), (items, space) => {
        const text = `[${space}${items.join(`${space},${space}`)}${space}]`;
        expect(itemsOfArray(text, 1_000)).toEqual(items.map((item) => item.trim()));
      }),
    );
  });
});

describe('payloads of polling', () => {
  it('are packets parted by U+001E, or none at all', () => {
    const packets = fc.array(
      fc.oneof(
        fc.string().map((text) => `4${text.replaceAll(separator, '')}`),
        fc.uint8Array().map((bytes) => `b${Buffer.from(bytes).toString('base64')}`),
        fc.constantFrom('1', '3', '6'),
      ),
      { minLength: 1, maxLength: 10 },
    );
    fc.assert(
      fc.property(packets, (sent) => {
        const read = parsePayload(sent.join(separator));
        expect(read).toHaveLength(sent.length);
        for (const [at, packet] of read!.entries()) {
          if (packet.kind !== 'message') continue;
          const text = sent[at]!;
          if (typeof packet.data === 'string') expect(packet.data).toBe(text.slice(1));
          else expect(packet.data.toString('base64')).toBe(text.slice(1));
        }
        expect(parsePayload(`${sent.join(separator)}${separator}`)).toBeUndefined();
      }),
    );
  });

  it('of any text never throw', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100 }), (text) => {
        const read = parsePayload(text);
        expect(read === undefined || read.length > 0).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('deliveries', () => {
  const messages = fc.array(
    fc.record({
      type: fc.constantFrom('application/json', 'text/plain', 'application/octet-stream'),
      value: fc.string({ unit: 'binary', maxLength: 30 }).map((text) => text.toWellFormed()),
      event: fc.option(
        fc.constantFrom(
          'greeting',
          'connect',
          'error',
          'everywire.gap',
          '__proto__',
          '*',
          '__disconnect_final',
        ),
        {
          nil: undefined,
        },
      ),
    }),
    { minLength: 1, maxLength: 6 },
  );

  interface Event {
    readonly nsp: string;
    readonly data: readonly unknown[];
  }

  function decode(packets: readonly (string | Buffer)[]): readonly Event[] {
    const events: Event[] = [];
    const decoder = new Decoder();
    decoder.on('decoded', (packet) => events.push(packet as unknown as Event));
    for (const packet of packets) decoder.add(packet);
    return events;
  }

  it.each(['/', '/chat'])(
    'are read by the protocol’s own library, on both wires alike (%s)',
    (ioNamespace) => {
      const { websocket, polling } = deliveriesOf(ioNamespace);
      fc.assert(
        fc.property(messages, fc.array(fc.nat(50)), (given, cuts) => {
          const batch = new Batch(
            given.map(({ type, value, event }, at) =>
              makeMessage({
                seq: at + 1,
                offset: at + 1,
                channel: 'chat/room',
                type,
                payload: Buffer.from(type === 'application/json' ? JSON.stringify(value) : value),
                event,
              }),
            ),
          );
          const byFrames = decode(readFrames(batch.as(websocket).bytes, cuts));
          const { bytes, ends } = batch.as(polling);
          const byPackets = decode(
            bytes
              .toString()
              .slice(0, -1)
              .split(separator)
              .map((packet) =>
                packet.startsWith('b') ? Buffer.from(packet.slice(1), 'base64') : packet.slice(1),
              ),
          );
          expect(ends).toHaveLength(given.length);
          expect(byPackets).toEqual(byFrames);
          expect(byFrames).toHaveLength(given.length);
          for (const [at, { nsp, data }] of byFrames.entries()) {
            const { type, value, event } = given[at]!;
            const cursor = batch.messages[at]!.cursor;
            const name = event === 'greeting' || event === '__proto__' ? event : 'message';
            const wanted = type === 'application/octet-stream' ? Buffer.from(value) : value;
            expect(nsp).toBe(ioNamespace);
            expect(data[0]).toBe(name);
            expect(data[1]).toEqual(wanted);
            expect(data[2]).toMatchObject({ channel: 'chat/room', offset: at + 1, cursor, type });
            expect(data.at(-1)).toBe(cursor);
          }
        }),
      );
    },
  );

  it('are encoded once for all, also for a client that has some of them', () => {
    const { websocket } = deliveriesOf('/');
    const batch = new Batch([1, 2, 3].map((seq) => makeMessage({ seq, offset: seq })));
    expect(batch.as(deliveriesOf('/').websocket).bytes).toBe(batch.as(websocket).bytes);
    const rest = batch.since(1)!.as(websocket).bytes;
    expect(rest.buffer).toBe(batch.as(websocket).bytes.buffer);
  });
});

/** `structuredClone` leaves views where buffers were. */
function restoreBuffers(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(restoreBuffers);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, restoreBuffers(member)]));
}

const jsonOf = (value: unknown): unknown => restoreBuffers(value);

/** What a client makes of a server's frames, in any chunks: the same reader, given masks that change nothing. */
function readFrames(bytes: Buffer, cuts: readonly number[]): readonly (string | Buffer)[] {
  const reader = new FrameReader({ messageBytesMax: 1_000_000, fragmentsMax: 64 });
  const masked = withMasks(bytes);
  const packets: (string | Buffer)[] = [];
  const places = [...cuts.map((cut) => cut % (masked.length + 1)), masked.length].sort((a, b) => a - b);
  let from = 0;
  for (const to of places) {
    reader.push(Buffer.from(masked.subarray(from, to)));
    from = to;
    for (let received = reader.next(); received !== undefined; received = reader.next()) {
      if (received.kind === 'text') packets.push(received.payload.toString().slice(1));
      else if (received.kind === 'binary') packets.push(Buffer.from(received.payload));
      else throw new Error(received.kind);
    }
  }
  return packets;
}

function withMasks(bytes: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const short = bytes[at + 1]!;
    const lengthBytes = short < 126 ? 0 : short === 126 ? 2 : 8;
    const length =
      lengthBytes === 0
        ? short
        : lengthBytes === 2
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    const head = Buffer.from(bytes.subarray(at, at + 2 + lengthBytes));
    head[1] = short | 0x80;
    const start = at + 2 + lengthBytes;
    frames.push(head, Buffer.alloc(4), bytes.subarray(start, start + length));
    at = start + length;
  }
  return Buffer.concat(frames);
}
