import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { frameMessage } from '@everywire/wires/grpc';
import { nowUs } from '../../bench/clock.ts';
import { Arrivals } from '../../bench/generator/arrivals.ts';
import { DataFrames } from '../../bench/generator/data-frames.ts';
import { Histogram } from '../../bench/histogram.ts';
import { makePayload } from '../../bench/payload.ts';

const payloadBytes = 64;
const count = 12;
const messages = Buffer.concat(
  Array.from({ length: count }, (_, at) => frameMessage(Buffer.from(makePayload(at + 1, payloadBytes)))),
);
/** As a server sends them in between: SETTINGS, PING. */
const others = [frame(4, 0, Buffer.alloc(6)), frame(6, 0, Buffer.from('^ewb:000'))];

function frame(type: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Cuts into pieces of the given sizes, again and again. */
function cut(bytes: Buffer, sizes: readonly number[]): readonly Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const end = at + sizes[turn % sizes.length]!;
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

function countedIn(chunks: readonly Buffer[]): readonly [count: number, violations: number] {
  const arrivals = new Arrivals({
    payloadBytes,
    ordered: true,
    afterSeq: 0,
    latency: new Histogram(),
    sampleEvery: 1,
    sampleAt: 0,
  });
  const frames = new DataFrames();
  for (const chunk of chunks) arrivals.read(frames.read(chunk), nowUs());
  return [arrivals.count, arrivals.violations];
}

describe("the load generator's count of gRPC messages", () => {
  test('each message once, in order, wherever one DATA frame ends and the next begins', () => {
    for (let at = 1; at < messages.length; at += 1) {
      const stream = [frame(0, 1, messages.subarray(0, at)), frame(0, 1, messages.subarray(at))];
      expect([at, ...countedIn([Buffer.concat(stream)])]).toEqual([at, count, 0]);
    }
  });

  test('the same for frames and chunks of any sizes, with frames of other types in between', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(sizes, sizes, (frameSizes, chunkSizes) => {
        const frames = cut(messages, frameSizes).flatMap((piece, at) => [
          others[at % others.length]!,
          frame(0, 1, piece),
        ]);
        expect(countedIn(cut(Buffer.concat(frames), chunkSizes))).toEqual([count, 0]);
      }),
    );
  });
});
