import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nowUs } from '../../bench/clock.ts';
import { Arrivals } from '../../bench/generator/arrivals.ts';
import { Histogram } from '../../bench/histogram.ts';
import { makePayload } from '../../bench/payload.ts';

/** Framings as the measured servers write them; every one leaves the payload as it is. */
const framings = new Map<string, (seq: number, payload: string) => string>([
  ['bytes', (_seq, payload) => payload],
  ['WebSocket', (_seq, payload) => `\x81${String.fromCharCode(payload.length)}${payload}`],
  ['SSE', (seq, payload) => `id: 1abcdef.${seq.toString(36)}.0123456789abcdef\ndata: ${payload}\n\n`],
  ['NDJSON', (seq, payload) => `{"channel":"bench","offset":${seq},"data":"${payload}"}\n`],
  [
    'Socket.IO',
    (_seq, payload) => `\x81${String.fromCharCode(payload.length + 16)}42["message","${payload}"]`,
  ],
  ['chunked', (_seq, payload) => `${(payload.length + 8).toString(16)}\r\ndata: ${payload}\n\n\r\n`],
]);

function makeArrivals(
  options: { readonly afterSeq?: number; readonly onFraming?: (bytes: Buffer) => void } = {},
) {
  const latency = new Histogram();
  const arrivals = new Arrivals({
    payloadBytes: 64,
    ordered: true,
    latency,
    sampleEvery: 1,
    sampleAt: 0,
    ...options,
  });
  return { arrivals, latency };
}

function stream(name: string, seqs: readonly number[]): Buffer {
  const frame = framings.get(name)!;
  return Buffer.from(seqs.map((seq) => frame(seq, makePayload(seq, 64))).join(''), 'latin1');
}

function upTo(count: number, from = 1): readonly number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

describe.each([...framings.keys()])('%s', (name) => {
  test('a stream cut at every place counts every message once, in order', () => {
    const bytes = stream(name, upTo(5, 33));
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { arrivals } = makeArrivals({ afterSeq: 32 });
      arrivals.read(bytes.subarray(0, cut), nowUs());
      arrivals.read(bytes.subarray(cut), nowUs());
      expect([cut, arrivals.count, arrivals.violations]).toEqual([cut, 5, 0]);
    }
  });

  test('byte by byte it counts the same', () => {
    const bytes = stream(name, upTo(40));
    const { arrivals, latency } = makeArrivals({ afterSeq: 0 });
    for (let at = 0; at < bytes.length; at++) arrivals.read(bytes.subarray(at, at + 1), nowUs());
    expect([arrivals.count, arrivals.violations, latency.summary().samples]).toEqual([40, 0, 40]);
  });

  test('any cuts give the same count and no violation', () => {
    const bytes = stream(name, upTo(300));
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 60 }), (places) => {
        const cuts = [0, ...places.toSorted((a, b) => a - b), bytes.length];
        const { arrivals } = makeArrivals({ afterSeq: 0 });
        for (let i = 1; i < cuts.length; i++) arrivals.read(bytes.subarray(cuts[i - 1], cuts[i]), nowUs());
        expect([arrivals.count, arrivals.violations]).toEqual([300, 0]);
      }),
    );
  });

  test.each([
    ['a lost message', [1, 2, 4, 5], 1],
    ['a repeated message', [1, 2, 2, 3], 1],
    ['two messages in the wrong order', [1, 3, 2, 4], 3],
    ['a lost first message', [2, 3], 1],
  ])('%s is a violation', (_what, seqs, violations) => {
    const { arrivals } = makeArrivals({ afterSeq: 0 });
    arrivals.read(stream(name, seqs), nowUs());
    expect([arrivals.count, arrivals.violations]).toEqual([seqs.length, violations]);
  });
});

test('a reused read buffer does not change kept bytes', () => {
  const bytes = stream('SSE', upTo(20));
  const shared = Buffer.alloc(100);
  const { arrivals } = makeArrivals({ afterSeq: 0 });
  for (let at = 0; at < bytes.length; at += 37) {
    const length = bytes.copy(shared, 0, at, at + 37);
    arrivals.read(shared.subarray(0, length), nowUs());
    shared.fill('^');
  }
  expect([arrivals.count, arrivals.violations]).toEqual([20, 0]);
});

test('the age of a message is the time from its making to its arrival', () => {
  const { arrivals, latency } = makeArrivals();
  const madeUs = nowUs();
  const bytes = stream('WebSocket', [1]);
  arrivals.read(bytes, madeUs + 5_000);
  expect(latency.summary().maxUs).toBeGreaterThan(3_000);
  expect(latency.summary().maxUs).toBeLessThanOrEqual(5_000);
});

test('a ping before, between and after messages is shown as framing', () => {
  const ping = Buffer.from([0x89, 0]);
  const shown: Buffer[] = [];
  const { arrivals } = makeArrivals({ afterSeq: 0, onFraming: (bytes) => shown.push(Buffer.from(bytes)) });
  const pings = (): number => shown.filter((bytes) => bytes.includes(ping)).length;
  arrivals.read(ping, nowUs());
  expect(pings()).toBe(1);
  arrivals.read(Buffer.concat([stream('WebSocket', [1, 2]), ping, stream('WebSocket', [3])]), nowUs());
  expect(pings()).toBe(2);
  arrivals.read(Buffer.concat([stream('WebSocket', [4]), ping]), nowUs());
  expect(pings()).toBe(3);
  arrivals.read(stream('WebSocket', [5, 6]), nowUs());
  arrivals.read(ping, nowUs());
  expect([pings(), arrivals.count, arrivals.violations]).toEqual([4, 6, 0]);
});
