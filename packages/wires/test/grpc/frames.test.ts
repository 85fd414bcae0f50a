import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EverywireError } from '@everywire/protocol';
import { frameMessage, MessageReader } from '../../src/grpc/frames.ts';

const bytesMax = 1_000;

function refusalOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (caught) {
    expect(caught).toBeInstanceOf(EverywireError);
    return (caught as EverywireError).code;
  }
}

function readAll(reader: MessageReader): Buffer[] {
  const found: Buffer[] = [];
  for (let one = reader.next(); one !== undefined; one = reader.next()) found.push(Buffer.from(one));
  return found;
}

describe('length-prefixed messages', () => {
  test('are the same however they are cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(messages, fc.array(fc.nat(400), { maxLength: 30 }), (given, cuts) => {
        const bytes = Buffer.concat(given.map((one) => frameMessage(one)));
        const places = [...new Set(cuts.filter((cut) => cut < bytes.length))].sort((a, b) => a - b);
        const reader = new MessageReader(bytesMax);
        const found: Buffer[] = [];
        let from = 0;
        for (const place of [...places, bytes.length]) {
          reader.push(bytes.subarray(from, place));
          from = place;
          found.push(...readAll(reader));
        }
        expect(found).toEqual(given.map((one) => Buffer.from(one)));
        expect(reader.isWithinMessage).toBe(false);
      }),
    );
  });

  test('in single bytes', () => {
    const reader = new MessageReader(100_000);
    const message = Buffer.alloc(65_536, 'é');
    let found: Buffer | undefined;
    for (const byte of frameMessage(message)) {
      expect(found).toBeUndefined();
      reader.push(Buffer.of(byte));
      found = reader.next();
    }
    expect(found?.equals(message)).toBe(true);
  });

  test('one that is too large is refused by its length, before anything of it is there', () => {
    const prefix = Buffer.alloc(5);
    for (const [length, code] of [
      [bytesMax, undefined],
      [bytesMax + 1, 'too_large'],
      [0xffff_ffff, 'too_large'],
    ] as const) {
      prefix.writeUInt32BE(length, 1);
      const reader = new MessageReader(bytesMax);
      reader.push(Buffer.from(prefix));
      expect(refusalOf(() => reader.next())).toBe(code);
    }
  });

  test.each([1, 2, 3, 0x80, 0xff])('flags %i are refused', (flag) => {
    const reader = new MessageReader(bytesMax);
    reader.push(Buffer.from([flag, 0, 0, 0, 0]));
    expect(refusalOf(() => reader.next())).toBe('internal');
  });

  test('a part of one is noticed', () => {
    const reader = new MessageReader(bytesMax);
    reader.push(Buffer.alloc(3));
    expect(reader.next()).toBeUndefined();
    expect(reader.isWithinMessage).toBe(true);
  });
});
