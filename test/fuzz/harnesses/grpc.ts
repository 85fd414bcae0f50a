import assert from 'node:assert/strict';
import { create, toBinary } from '@bufbuild/protobuf';
import { EverywireError } from '@everywire/protocol';
import { checkDraft } from '../../../packages/server/src/core/log/drafts.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { draftOf, fromOf } from '../../../packages/server/src/transports/grpc/convert.ts';
import {
  PublishRequestSchema,
  ReadRequestSchema,
  StreamRequestSchema,
  SubscribeRequestSchema,
  type PublishRequest,
} from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import { frameMessage, MessageReader, decoded } from '@everywire/wires/grpc';
import type { Harness } from '../harness.ts';
import { chunkingsOf, takenOrRefused } from '../tools.ts';

const messageBytesMax = 300;
const nowMs = 1_800_000_000_000;
const stamp = { id: '01JD0000000000000000000000', nowMs, from: undefined };
const schemas = [PublishRequestSchema, ReadRequestSchema, StreamRequestSchema, SubscribeRequestSchema];
const cursor = '1k3f9q2.1a2b.9f3c0d4e5a6b7c8d';

const publish = create(PublishRequestSchema, {
  channel: 'a',
  data: Buffer.from('{"a":1}'),
  type: 'application/json',
  event: 'e',
  headers: { lang: 'ko', __proto__x: 'y' },
  key: 'k',
  retain: true,
  ttl: { seconds: 60n, nanos: 5 },
});
const of = (schema: number, ...messages: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.of(schema), ...messages.map((one) => frameMessage(one))]);
const stream = (command: object): Uint8Array =>
  toBinary(StreamRequestSchema, create(StreamRequestSchema, { id: 1n, command: command as never }));

/** The messages of one call, framed; the first byte chooses what they are. */
export const harness: Harness = {
  name: 'grpc',
  inputBytesMax: 500,
  seeds: [
    of(0, toBinary(PublishRequestSchema, publish)),
    of(1, toBinary(ReadRequestSchema, create(ReadRequestSchema, { channel: 'a', since: 'earliest' }))),
    of(
      2,
      stream({ case: 'subscribe', value: { channel: 'a/**', after: cursor, acknowledge: true, window: 5 } }),
      stream({ case: 'publish', value: publish }),
      stream({ case: 'unsubscribe', value: { subscription: 1n } }),
      stream({ case: 'ack', value: { subscription: 1n } }),
      stream({ case: 'ping', value: {} }),
      stream({ case: 'auth', value: 'token' }),
    ),
    of(
      3,
      toBinary(
        SubscribeRequestSchema,
        create(SubscribeRequestSchema, { channels: ['a', 'b/*'], since: '-5m' }),
      ),
    ),
    Buffer.from([0, 1, 0, 0, 0, 1, 0]),
    Buffer.from([0, 0, 0xff, 0xff, 0xff, 0xff, 1]),
    // Groups within each other, which a reader skips by recursion.
    of(0, Buffer.alloc(250, 0x7b)),
    of(0, Buffer.from([0x42, 0x0d, 0x0a, 0x09, ...Buffer.from('__proto__'), 0x12, 0x00])),
  ],
  dictionary: [
    Buffer.from([0, 0, 0, 0, 1]),
    '__proto__',
    'constructor',
    Buffer.from([0x0a, 0x01]),
    Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
  ],
  run: (input) => {
    const schema = schemas[(input[0] ?? 0) % schemas.length]!;
    const bytes = input.subarray(1);
    const whole = readAll([Buffer.from(bytes)]);
    for (const chunks of chunkingsOf(bytes)) {
      assert.deepEqual(readAll(chunks), whole, 'what is read does not depend on how it was cut');
    }
    let taken = 0;
    for (const message of whole) {
      if (typeof message === 'string') continue;
      // As plain bytes: fields of bytes are parts of what they came in, and of its kind.
      const request = refusedAsInternal(() => decoded(schema, new Uint8Array(message)));
      if (request === undefined) continue;
      taken += 1;
      assert.deepEqual(
        decoded(schema, toBinary(schema, request)),
        request,
        'written and read again it is the same',
      );
      if (request.$typeName === 'everywire.v1.PublishRequest') checkPublish(request);
      else if (request.$typeName !== 'everywire.v1.StreamRequest')
        takenOrRefused(() => fromOf(request, nowMs));
      else if (request.command.case === 'publish') checkPublish(request.command.value);
      else if (request.command.case === 'subscribe') {
        const { value } = request.command;
        takenOrRefused(() => fromOf(value, nowMs));
      }
    }
    return taken > 0;
  },
};

function checkPublish(request: PublishRequest): void {
  const draft = takenOrRefused(() => checkDraft(draftOf(request), stamp, defaultLimits));
  if (draft?.expiresAtMs !== undefined) assert.ok(Number.isSafeInteger(draft.expiresAtMs));
}

/** `internal` is what gRPC calls bytes that are no message. */
function refusedAsInternal<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof EverywireError && error.code === 'internal') return undefined;
    throw error;
  }
}

/** Messages, and at the end perhaps the refusal of what follows. */
function readAll(chunks: readonly Buffer[]): (Buffer | string)[] {
  const reader = new MessageReader(messageBytesMax);
  const read: (Buffer | string)[] = [];
  try {
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let one = reader.next(); one !== undefined; one = reader.next()) read.push(Buffer.from(one));
    }
  } catch (error) {
    if (!(error instanceof EverywireError)) throw error;
    read.push(`${error.code}: ${error.message}`);
  }
  return read;
}
