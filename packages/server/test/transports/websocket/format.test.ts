import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batch, type WireFormat } from '../../../src/core/log/batch.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { Message } from '../../../src/core/log/message.ts';
import { parseCommand } from '../../../src/transports/websocket/commands.ts';
import {
  envelopeFormat,
  messageFormat,
  rawFormat,
  typeOfFrame,
} from '../../../src/transports/websocket/format.ts';

function messageOf(seq: number, payload: Uint8Array, type: string): Message {
  const place = { epoch: 'aaaaaa', seq, offset: seq, tag: '0123456789abcdef' };
  return new Message('a', place, { id: `id${seq}`, timeMs: 0, type, payload: Buffer.from(payload) });
}

const messages = fc
  .array(
    fc.tuple(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom('text/plain', 'application/octet-stream', 'application/json'),
    ),
    { minLength: 1, maxLength: 6 },
  )
  // What claims to be JSON is JSON by the time it is a message.
  .map((all) =>
    all.map(([payload, type], at) =>
      messageOf(at + 1, type === 'application/json' ? Buffer.from(`[${at}]`) : payload, type),
    ),
  );

const formats: readonly WireFormat[] = [rawFormat, envelopeFormat, messageFormat];

describe.each(formats.map((format) => [format.id, format] as const))('%s', (_, format) => {
  test('gives every sink the same Buffer, and later readers a part of it', () => {
    fc.assert(
      fc.property(messages, fc.nat(), (all, cut) => {
        const batch = new Batch(all);
        const { bytes, ends } = batch.as(format);
        expect(batch.as(format).bytes).toBe(bytes);
        expect(ends).toHaveLength(all.length);
        const from = cut % all.length;
        const rest = batch.since(from)!.as(format).bytes;
        expect(rest.buffer).toBe(bytes.buffer);
        expect(rest.equals(format.encode(all.slice(from)).bytes)).toBe(true);
      }),
    );
  });
});

test('a raw frame is text exactly when the type says so and the bytes are', () => {
  const opcode = (payload: Buffer, type: string) => rawFormat.encode([messageOf(1, payload, type)]).bytes[0];
  expect(opcode(Buffer.from('x'), 'text/html; charset=utf-8')).toBe(0x81);
  expect(opcode(Buffer.from('{}'), 'application/vnd.x+json')).toBe(0x81);
  expect(opcode(Buffer.from('x'), 'image/png')).toBe(0x82);
  expect(opcode(Buffer.from([0xff]), 'text/plain')).toBe(0x82);
});

test('the type that is asked for holds for the frames it fits', () => {
  expect(typeOfFrame('text', 'application/json')).toBe('application/json');
  expect(typeOfFrame('text', 'image/png')).toBe('text/plain; charset=utf-8');
  expect(typeOfFrame('binary', 'image/png')).toBe('image/png');
  expect(typeOfFrame('binary', 'text/plain')).toBe('application/octet-stream');
  expect(typeOfFrame('binary', undefined)).toBe('application/octet-stream');
});

describe('commands', () => {
  test('any bytes are a command or a refusal, never a fault', () => {
    const looksLikeOne = fc
      .record(
        {
          id: fc.jsonValue(),
          op: fc.oneof(
            fc.constantFrom('subscribe', 'publish', 'unsubscribe', 'auth', 'ping'),
            fc.jsonValue(),
          ),
          channel: fc.oneof(fc.string(), fc.jsonValue()),
          data: fc.jsonValue(),
          base64: fc.oneof(fc.base64String(), fc.jsonValue()),
          type: fc.oneof(fc.constant('text/plain'), fc.jsonValue()),
          headers: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
          ttl: fc.oneof(fc.double(), fc.jsonValue()),
          retain: fc.jsonValue(),
        },
        { requiredKeys: [] },
      )
      .map((value) => Buffer.from(JSON.stringify(value)));
    const anything = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(looksLikeOne, anything), (bytes) => {
        const command = parseCommand(bytes, defaultLimits);
        expect(['subscribe', 'publish', 'unsubscribe', 'auth', 'ping', 'bad']).toContain(command.op);
        if (command.id !== undefined) JSON.parse(command.id);
      }),
      { numRuns: 1_000 },
    );
  });

  test('data is kept as it was written', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), fc.constantFrom('', ' ', '\n\t'), (json, space) => {
        const bytes = Buffer.from(
          `{"id":1,${space}"data":${space}${json}${space},"op":"publish","channel":"a"}`,
        );
        const command = parseCommand(bytes, { jsonDepthMax: 1_000 });
        // Half a surrogate pair is the one thing JSON.stringify writes that is refused.
        if (command.op === 'bad') expect(json).toMatch(/\\ud[89a-f]/i);
        // A string is text; everything else is the JSON that it was.
        else {
          const value = JSON.parse(json) as unknown;
          const payload = Buffer.from(typeof value === 'string' ? value : json.trim());
          expect(command).toMatchObject({ op: 'publish', draft: { payload } });
        }
      }),
    );
  });
});
