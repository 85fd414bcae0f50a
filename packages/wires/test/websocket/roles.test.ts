import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameReader, type Received, type Role } from '../../src/websocket/frame-reader.ts';
import { closeBody, frame, maskedFrame, opcodes, textFrames } from '../../src/websocket/frames.ts';
import { acceptKeyOf, upgradeHeaders } from '../../src/websocket/handshake.ts';

const limits = { messageBytesMax: 70_000, fragmentsMax: 8 };

function read(chunks: readonly Buffer[], role: Role): unknown[] {
  const reader = new FrameReader(limits, role);
  const said: unknown[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    for (let one = reader.next(); one !== undefined; one = reader.next()) said.push(describeOne(one));
  }
  return said;
}

const describeOne = (one: Received) =>
  'payload' in one ? { kind: one.kind, hex: one.payload.toString('hex') } : one;

const sent = fc.record({
  kind: fc.constantFrom('text', 'binary', 'ping', 'pong'),
  text: fc.string({ unit: 'grapheme', maxLength: 30 }),
});
const masks = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

describe('what one role writes the other reads', () => {
  test('cut at every place', () => {
    fc.assert(
      fc.property(
        fc.array(sent, { minLength: 1, maxLength: 3 }),
        masks,
        fc.constantFrom('client', 'server'),
        (messages, mask, writer) => {
          const role = writer === 'client' ? 'server' : 'client';
          const bytes = Buffer.concat(
            messages.map(({ kind, text }) =>
              writer === 'client'
                ? maskedFrame(opcodes[kind], text, mask)
                : frame(opcodes[kind], Buffer.from(text)),
            ),
          );
          const expected = messages.map(({ kind, text }) => ({
            kind,
            hex: Buffer.from(text).toString('hex'),
          }));
          for (let at = 0; at <= bytes.length; at += 1) {
            expect(read([bytes.subarray(0, at), bytes.subarray(at)], role)).toEqual(expected);
          }
          expect(
            read(
              Array.from(bytes, (byte) => Buffer.of(byte)),
              role,
            ),
          ).toEqual(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  test.each([0, 1, 125, 126, 65_535, 65_536, 70_000])('%i bytes, with a mask or with none', (length) => {
    const payload = Buffer.alloc(length, 'xyz');
    const expected = [{ kind: 'binary', hex: payload.toString('hex') }];
    for (const mask of [0, 1, 0x7fffffff, -1, -559038737]) {
      expect(read([maskedFrame(opcodes.binary, payload, mask)], 'server')).toEqual(expected);
    }
    expect(read([frame(opcodes.binary, payload)], 'client')).toEqual(expected);
  });

  test('text frames of a batch, one after the other', () => {
    const { bytes } = textFrames(['a', '한글', '']);
    expect(read([bytes], 'client')).toMatchObject([{ hex: '61' }, { hex: 'ed959ceab880' }, { hex: '' }]);
  });

  test('a Close', () => {
    const body = closeBody(4001, 'slow');
    const expected = [{ kind: 'close', code: 4001, reason: 'slow' }];
    expect(read([maskedFrame(opcodes.close, body, 7)], 'server')).toEqual(expected);
    expect(read([frame(opcodes.close, body)], 'client')).toEqual(expected);
  });
});

test('a mask on the wrong side breaks the connection (§5.1)', () => {
  const broken = [{ kind: 'broken', code: 1002, reason: expect.stringContaining('masked') }];
  expect(read([maskedFrame(opcodes.text, 'a', 1)], 'client')).toEqual(broken);
  expect(read([frame(opcodes.text, Buffer.from('a'))], 'server')).toEqual(broken);
});

test('a client’s reader leaves the bytes as they are, also those of text in several chunks', () => {
  const { bytes } = textFrames(['abc', 'def']);
  const before = Buffer.from(bytes);
  const reader = new FrameReader(limits, 'client');
  reader.push(bytes.subarray(0, 4));
  while (reader.next() !== undefined);
  reader.push(bytes.subarray(4));
  while (reader.next() !== undefined);
  expect(bytes).toEqual(before);
});

test('the handshake is that of RFC 6455 §1.3', () => {
  expect(acceptKeyOf('dGhlIHNhbXBsZSBub25jZQ==')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  expect(upgradeHeaders('dGhlIHNhbXBsZSBub25jZQ==', ['chat', 'superchat'])).toEqual({
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Protocol': 'chat, superchat',
  });
  expect(upgradeHeaders('x')).not.toHaveProperty('Sec-WebSocket-Protocol');
});
