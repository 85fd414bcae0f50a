import fc from 'fast-check';
import { Decoder, PacketType } from 'socket.io-parser';
import { describe, expect, test } from 'vitest';
import {
  base64Packet,
  openPacket,
  packets,
  parsePacket,
  parsePayload,
  parseServerPacket,
  parseServerPayload,
  separator,
} from '../../src/socketio/engine-packets.ts';
import {
  ackPacket,
  connectErrorPacket,
  connectPacket,
  connectedPacket,
  disconnectPacket,
  eventPacket,
  IoFault,
  parseIoPacket,
  parseServerIoPacket,
  placeholderItem,
  valueOfItem,
} from '../../src/socketio/io-packets.ts';

const limits = { attachmentsMax: 10, jsonDepthMax: 32, nameBytesMax: 255 };
const ioNamespaces = fc.constantFrom('/', '/chat', '/a/b');
const names = fc.stringMatching(/^[a-z]{1,8}$/).filter((name) => name !== 'error' && name !== 'connect');

/** The arguments of an event: JSON, and bytes in their places. */
const args = fc.array(
  fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
  ),
  { maxLength: 4 },
);

function itemsOf(values: readonly unknown[]): { readonly items: string[]; readonly attachments: Buffer[] } {
  const attachments: Buffer[] = [];
  const items = values.map((value) =>
    Buffer.isBuffer(value) ? placeholderItem(attachments.push(value) - 1) : JSON.stringify(value),
  );
  return { items, attachments };
}

describe('Socket.IO packets', () => {
  test('of either role read as they were written, also by the library of the protocol', () => {
    fc.assert(
      fc.property(
        ioNamespaces,
        names,
        args,
        fc.option(fc.nat(), { nil: undefined }),
        (ioNamespace, name, values, id) => {
          const { items, attachments } = itemsOf([name, ...values]);
          const text = eventPacket(ioNamespace, items, { id, attachments: attachments.length });
          for (const parse of [parseIoPacket, parseServerIoPacket]) {
            const read = parse(text, limits);
            if (read instanceof IoFault) throw new Error(`${read.detail}: ${text}`);
            expect(read).toMatchObject({
              kind: 'event',
              ioNamespace,
              id,
              attachments: attachments.length,
              auth: undefined,
            });
            const back = read.items.map((item) => valueOfItem(item, attachments));
            expect(JSON.stringify(back)).toBe(JSON.stringify([name, ...values]));
          }
          expect(withTheirParser([text, ...attachments])).toMatchObject({ nsp: ioNamespace });
        },
      ),
    );
  });

  test('answers with attachments', () => {
    const text = ackPacket('/chat', 7, [placeholderItem(0), '1'], 1);
    expect(text).toBe('61-/chat,7[{"_placeholder":true,"num":0},1]');
    expect(parseServerIoPacket(text, limits)).toMatchObject({ kind: 'ack', id: 7, attachments: 1 });
    expect(withTheirParser([text, Buffer.from('x')])).toMatchObject({
      type: PacketType.ACK,
      id: 7,
      data: [Buffer.from('x'), 1],
    });
  });

  test('of the beginning and the end', () => {
    expect(parseIoPacket(connectPacket('/', { token: 'x' }), limits)).toMatchObject({
      kind: 'connect',
      auth: '{"token":"x"}',
    });
    expect(connectPacket('/')).toBe('0');
    expect(parseServerIoPacket(connectedPacket('/a', { sid: 'x' }), limits)).toMatchObject({
      kind: 'connect',
      ioNamespace: '/a',
      auth: '{"sid":"x"}',
    });
    expect(
      parseServerIoPacket(connectErrorPacket('/', 'forbidden', { code: 'forbidden' }), limits),
    ).toMatchObject({ kind: 'connectError', auth: '{"message":"forbidden","data":{"code":"forbidden"}}' });
    expect(parseServerIoPacket(disconnectPacket('/'), limits)).toMatchObject({ kind: 'disconnect' });
  });

  test('a client sends no CONNECT_ERROR, and no event of the libraries', () => {
    expect(parseIoPacket(connectErrorPacket('/', 'no'), limits)).toBeInstanceOf(IoFault);
    expect(parseIoPacket('2["connect"]', limits)).toBeInstanceOf(IoFault);
    expect(parseServerIoPacket('2["connect"]', limits)).toMatchObject({ kind: 'event' });
  });

  test('any text of a server is a packet or a fault, never an error', () => {
    const pieces = fc.oneof(fc.string(), fc.constantFrom(...Array.from('0123456-/,[]{}"\\'), '["a"]', '51-'));
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        expect(parseServerIoPacket(parts.join(''), limits)).toBeTypeOf('object');
      }),
      { numRuns: 2_000 },
    );
  });
});

function withTheirParser(parts: readonly (string | Buffer)[]): unknown {
  let found: unknown;
  const decoder = new Decoder();
  decoder.on('decoded', (packet) => (found = packet));
  for (const part of parts) decoder.add(part);
  return found;
}

describe('Engine.IO packets', () => {
  const handshake = {
    sid: 'abc',
    upgrades: ['websocket'],
    pingIntervalMs: 25_000,
    pingTimeoutMs: 20_000,
    payloadBytesMax: 1_000_000,
  };

  test('of a server', () => {
    expect(parseServerPacket(openPacket(handshake))).toEqual({ kind: 'open', handshake });
    expect(parseServerPacket(packets.ping)).toEqual({ kind: 'ping' });
    expect(parseServerPacket(packets.close)).toEqual({ kind: 'close' });
    expect(parseServerPacket(packets.noop)).toEqual({ kind: 'noop' });
    expect(parseServerPacket(packets.probed)).toEqual({ kind: 'probed' });
    expect(parseServerPacket(`${packets.message}2["a"]`)).toEqual({ kind: 'message', data: '2["a"]' });
  });

  test('of a client', () => {
    expect(parsePacket(packets.pong)).toEqual({ kind: 'pong' });
    expect(parsePacket(packets.probe)).toEqual({ kind: 'probe' });
    expect(parsePacket(packets.upgrade)).toEqual({ kind: 'upgrade' });
  });

  test.each(['', '0', '0{}', '0[]', '0{"sid":1}', '0null', '0x', '1x', '3', '5', '6x', '7', 'x'])(
    'a server does not send %j',
    (text) => {
      expect(parseServerPacket(text)).toBeUndefined();
    },
  );

  test('a handshake of an older server, without a maximum', () => {
    const text = '0{"sid":"a","upgrades":[1,"websocket"],"pingInterval":1,"pingTimeout":2}';
    expect(parseServerPacket(text)).toEqual({
      kind: 'open',
      handshake: {
        sid: 'a',
        upgrades: ['websocket'],
        pingIntervalMs: 1,
        pingTimeoutMs: 2,
        payloadBytesMax: Infinity,
      },
    });
  });

  test('payloads of polling, in both directions', () => {
    const messages = fc.array(
      fc.oneof(
        fc.string().map((text) => text.replaceAll(separator, '')),
        fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      ),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(messages, (sent) => {
        const text = sent
          .map((one) => (typeof one === 'string' ? packets.message + one : base64Packet(one)))
          .join(separator);
        const expected = sent.map((data) => ({ kind: 'message', data }));
        expect(parsePayload(text)).toEqual(expected);
        expect(parseServerPayload(text)).toEqual(expected);
        expect(parseServerPayload(`${text}${separator}`)).toBeUndefined();
      }),
    );
  });
});
