import fc from 'fast-check';
import { isUtf8 } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { FrameReader, type Received } from '../../src/websocket/frame-reader.ts';
import { isCloseCode } from '../../src/websocket/frames.ts';
import {
  clientFrame,
  closeFrame,
  continuation,
  textFrame,
  type ClientFrame,
} from '../../../../test/clients/websocket/client-frames.ts';

const limits = { messageBytesMax: 70_000, fragmentsMax: 8 };

/** Everything a reader says to these chunks; payloads as hex, so that later chunks cannot change them. */
function read(chunks: readonly Buffer[], readerLimits = limits): unknown[] {
  const reader = new FrameReader(readerLimits);
  const said: unknown[] = [];
  for (const chunk of chunks) {
    reader.push(Buffer.from(chunk));
    for (let one = reader.next(); one !== undefined; one = reader.next()) said.push(describeOne(one));
  }
  return said;
}

const describeOne = (one: Received) =>
  'payload' in one ? { kind: one.kind, hex: one.payload.toString('hex') } : one;

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 130 }),
  fc.string({ unit: 'binary', maxLength: 60 }).map((text) => new TextEncoder().encode(text)),
  fc.integer({ min: 120, max: 66_000 }).map((length) => new Uint8Array(length).fill(0x61)),
);

const legalFrames = fc.array(
  fc.record({
    opcode: fc.constantFrom(0, 1, 2, 9, 10),
    payload: payload.map((bytes) => Buffer.from(bytes)),
    fin: fc.boolean(),
  }),
  { maxLength: 6 },
);

const anyFrames = fc.array(
  fc.record(
    {
      opcode: fc.integer({ min: 0, max: 15 }),
      payload: payload.map((bytes) => Buffer.from(bytes)),
      fin: fc.boolean(),
      rsv: fc.constantFrom(0, 0, 0, 1, 2, 4),
      masked: fc.constantFrom(true, true, true, false),
      lengthBytes: fc.constantFrom<8>(8),
    },
    { requiredKeys: ['opcode', 'payload'] },
  ),
  { maxLength: 5 },
);

const concat = (frames: readonly ClientFrame[]) => Buffer.concat(frames.map(clientFrame));

describe('any cut of the bytes', () => {
  test('gives the same events, legal or not', () => {
    fc.assert(
      fc.property(
        fc.oneof(legalFrames, anyFrames),
        fc.array(fc.nat(), { maxLength: 12 }),
        (frames, places) => {
          const bytes = concat(frames);
          expect(read(cut(bytes, places))).toEqual(read([bytes]));
        },
      ),
      { numRuns: 400 },
    );
  });

  test('also single bytes, also of text that is not UTF-8', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        (parts, withPing) => {
          const bytes = Buffer.concat(
            parts.flatMap((part, at) => [
              clientFrame({
                opcode: at === 0 ? 1 : 0,
                payload: Buffer.from(part),
                fin: at === parts.length - 1,
              }),
              ...(withPing ? [clientFrame({ opcode: 9, payload: Buffer.from('p') })] : []),
            ]),
          );
          const said = read([bytes]);
          expect(read([...bytes].map((byte) => Buffer.of(byte)))).toEqual(said);
          const whole = Buffer.concat(parts);
          const last = said.find((one) => (one as Received).kind !== 'ping');
          expect(last).toEqual(
            isUtf8(whole)
              ? { kind: 'text', hex: whole.toString('hex') }
              : { kind: 'broken', code: 1007, reason: expect.any(String) },
          );
        },
      ),
      { numRuns: 400 },
    );
  });
});

test('any byte string gives events, or one of three close codes and then nothing', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const said = read([Buffer.from(bytes)]) as Received[];
      for (const [at, one] of said.entries()) {
        if (one.kind === 'broken') expect([1002, 1007, 1009]).toContain(one.code);
        if (one.kind === 'broken' || one.kind === 'close') expect(at).toBe(said.length - 1);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('what a client encodes comes out as it went in', () => {
  fc.assert(
    fc.property(fc.array(payload, { minLength: 1, maxLength: 8 }), fc.boolean(), (parts, asText) => {
      const bytes = Buffer.concat(
        parts.map((part, at) =>
          clientFrame({
            opcode: at > 0 ? 0 : asText ? 1 : 2,
            payload: Buffer.from(part),
            fin: at === parts.length - 1,
          }),
        ),
      );
      const whole = Buffer.concat(parts);
      const [said] = read([bytes], { messageBytesMax: 1_000_000, fragmentsMax: 8 });
      if (asText && !isUtf8(whole)) expect(said).toMatchObject({ kind: 'broken', code: 1007 });
      else expect(said).toEqual({ kind: asText ? 'text' : 'binary', hex: whole.toString('hex') });
    }),
  );
});

describe('bounds', () => {
  test('an announced length over the limit breaks before a byte of payload came', () => {
    const header = clientFrame({ opcode: 2, payload: Buffer.alloc(0), announce: 2 ** 40, lengthBytes: 8 });
    expect(read([header.subarray(0, 10)])).toMatchObject([{ kind: 'broken', code: 1009 }]);
  });

  test('a message at the limit passes, one byte more breaks, whole or in frames', () => {
    const small = { messageBytesMax: 10, fragmentsMax: 8 };
    expect(read([textFrame('0123456789')], small)).toMatchObject([{ kind: 'text' }]);
    expect(read([textFrame('01234567890')], small)).toMatchObject([{ code: 1009 }]);
    expect(read([textFrame('01234', false), continuation('56789', true)], small)).toMatchObject([
      { kind: 'text' },
    ]);
    expect(read([textFrame('01234', false), continuation('567890', true)], small)).toMatchObject([
      { code: 1009 },
    ]);
  });

  test('as many frames as allowed pass, one more breaks', () => {
    const more = (count: number) => [
      textFrame('', false),
      ...Array.from({ length: count - 2 }, () => continuation('', false)),
      continuation('x', true),
    ];
    expect(read(more(8))).toEqual([{ kind: 'text', hex: '78' }]);
    expect(read(more(9))).toMatchObject([{ kind: 'broken', code: 1009 }]);
  });

  test('a long message may come in frames of 4 KiB, and no shorter ones than one KiB', () => {
    const inFrames = (bytes: number) => [
      textFrame('a'.repeat(bytes), false),
      ...Array.from({ length: Math.floor(60_000 / bytes) }, () => continuation('b'.repeat(bytes), false)),
      continuation('', true),
    ];
    expect(read(inFrames(4_096))).toMatchObject([{ kind: 'text' }]);
    expect(read(inFrames(512))).toMatchObject([{ kind: 'broken', code: 1009 }]);
  });

  test('a binary message over the limit comes in pieces where its protocol is a stream of bytes, and no text does', () => {
    const passing = { messageBytesMax: 10, fragmentsMax: 8, passesLongBinary: true };
    const sent = Buffer.from(Array.from({ length: 40 }, (_, at) => at));
    const frames = Buffer.concat([
      clientFrame({ opcode: 2, payload: sent.subarray(0, 8), fin: false }),
      clientFrame({ opcode: 0, payload: sent.subarray(8), fin: true }),
      clientFrame({ opcode: 2, payload: Buffer.from('next') }),
    ]);
    for (let at = 1; at < frames.length; at += 1) {
      const said = read([frames.subarray(0, at), frames.subarray(at)], passing) as { hex: string }[];
      expect(said.map(({ hex }) => hex).join('')).toBe(
        sent.toString('hex') + Buffer.from('next').toString('hex'),
      );
    }
    expect(read([textFrame('01234567890')], passing)).toMatchObject([{ code: 1009 }]);
  });

  test('a new message may be as long again: nothing is carried over', () => {
    const one = [textFrame('a'.repeat(40_000), false), continuation('b', true)];
    expect(read([...one, ...one])).toHaveLength(2);
  });
});

test.each(Array.from({ length: 66 }, (_, at) => at * 80))('close codes around %i', (from) => {
  for (let code = from; code < from + 80; code += 1) {
    const body = Buffer.alloc(2);
    body.writeUInt16BE(code);
    const registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    const isAllowed = registered.includes(code) || (code >= 3000 && code <= 4999);
    expect(isCloseCode(code)).toBe(isAllowed);
    expect(read([closeFrame(body)])).toMatchObject([
      isAllowed ? { kind: 'close', code } : { kind: 'broken', code: 1002 },
    ]);
  }
});

test('input after a Close is not read', () => {
  expect(read([Buffer.concat([closeFrame(Buffer.alloc(0)), textFrame('late')])])).toEqual([
    { kind: 'close', code: 1005, reason: '' },
  ]);
});

test('a reader that is not asked keeps its place', () => {
  const reader = new FrameReader(limits);
  reader.push(Buffer.concat([textFrame('a'), textFrame('b')]));
  expect(reader.next()).toMatchObject({ kind: 'text', payload: Buffer.from('a') });
  reader.push(textFrame('c'));
  expect(reader.next()).toMatchObject({ payload: Buffer.from('b') });
  expect(reader.next()).toMatchObject({ payload: Buffer.from('c') });
  expect(reader.next()).toBeUndefined();
});
