import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Batch } from '../../../src/core/log/batch.ts';
import { Message } from '../../../src/core/log/message.ts';
import { protoMessage } from '../../../src/transports/grpc/convert.ts';
import {
  StreamResponseSchema,
  SubscribeResponseSchema,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { MessageReader } from '@everywire/wires/grpc';
import { streamFormat, subscribeFormat } from '../../../src/transports/grpc/format.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 40 });
const optional = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(one, { nil: undefined });

const messages = fc
  .record({
    channel: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 255 }),
    // Each length of a varint, up to what a number can hold.
    offset: fc.oneof(
      fc.integer({ min: 1, max: 300 }),
      fc.maxSafeNat().map((value) => Math.max(1, value)),
    ),
    timeMs: fc.integer({ min: 0, max: 253_402_300_799_999 }),
    type: fc.constantFrom('text/plain', 'application/octet-stream', 'application/vnd.é+json'),
    payload: fc.uint8Array({ maxLength: 300 }),
    event: optional(text.filter((event) => event !== '')),
    headers: optional(fc.dictionary(text, text, { maxKeys: 5 })),
    from: optional(text.filter((from) => from !== '')),
  })
  .map(
    ({ channel, offset, payload, headers, ...rest }) =>
      new Message(
        channel,
        { epoch: 'abc123', seq: offset, offset, tag: '0123456789abcdef' },
        {
          id: '01JD0000000000000000000000',
          payload: Buffer.from(payload),
          headers: headers === undefined ? undefined : new Map(Object.entries(headers)),
          ...rest,
        },
      ),
  );

function framesOf(bytes: Buffer): Uint8Array[] {
  const reader = new MessageReader(1e6);
  reader.push(bytes);
  const frames: Uint8Array[] = [];
  for (let one = reader.next(); one !== undefined; one = reader.next()) frames.push(new Uint8Array(one));
  expect(reader.isWithinMessage).toBe(false);
  return frames;
}

const batches = fc.array(messages, { minLength: 1, maxLength: 4 });

describe('messages written by hand', () => {
  test('are what the generated code reads, one response each', () => {
    fc.assert(
      fc.property(batches, (batch) => {
        const read = framesOf(subscribeFormat.encode(batch).bytes).map((frame) =>
          fromBinary(SubscribeResponseSchema, frame),
        );
        const wanted = batch.map((message) =>
          create(SubscribeResponseSchema, { kind: { case: 'message', value: protoMessage(message) } }),
        );
        expect(read).toEqual(
          wanted.map((one) => fromBinary(SubscribeResponseSchema, toBinary(SubscribeResponseSchema, one))),
        );
      }),
    );
  });

  test('carry the id of their subscription, and whether they come again, in a Stream', () => {
    const ids = fc.oneof(fc.bigInt({ min: 1n, max: 300n }), fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }));
    fc.assert(
      fc.property(batches, ids, fc.boolean(), (batch, id, redelivered) => {
        const read = framesOf(streamFormat(id, redelivered).encode(batch).bytes).map((frame) =>
          fromBinary(StreamResponseSchema, frame),
        );
        const wanted = batch.map((message) =>
          create(StreamResponseSchema, {
            id,
            redelivered,
            kind: { case: 'message', value: protoMessage(message) },
          }),
        );
        expect(read).toEqual(
          wanted.map((one) => fromBinary(StreamResponseSchema, toBinary(StreamResponseSchema, one))),
        );
      }),
    );
  });

  test('have the payload byte for byte at every length around those of varints', () => {
    for (const bytes of [0, 1, 127, 128, 16_383, 16_384, 65_536]) {
      const payload = Buffer.alloc(bytes, 0xff);
      const [message] = fc.sample(messages, { numRuns: 1, seed: bytes });
      const [frame] = framesOf(subscribeFormat.encode([Object.assign(message!, { payload })]).bytes);
      const { kind } = fromBinary(SubscribeResponseSchema, frame!);
      expect(kind.case === 'message' && Buffer.from(kind.value.data).equals(payload)).toBe(true);
    }
  });
});

describe('formats', () => {
  test('every Subscribe is handed the same bytes, and so is every Stream with the same id', () => {
    const [message] = fc.sample(messages, 1);
    const batch = new Batch([message!]);
    expect(batch.as(subscribeFormat).bytes).toBe(batch.as(subscribeFormat).bytes);
    for (const id of [1n, 256n, 257n, 2n ** 63n])
      expect(batch.as(streamFormat(id, false)).bytes).toBe(batch.as(streamFormat(id, false)).bytes);
    expect(batch.as(streamFormat(1n, false)).bytes).not.toBe(batch.as(streamFormat(2n, false)).bytes);
    expect(batch.as(streamFormat(1n, false)).bytes).not.toBe(batch.as(streamFormat(1n, true)).bytes);
  });

  test('only those of small ids are kept', () => {
    expect(streamFormat(256n, false)).toBe(streamFormat(256n, false));
    expect(streamFormat(257n, false)).not.toBe(streamFormat(257n, false));
  });
});
