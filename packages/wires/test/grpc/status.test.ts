import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { errorTable, EverywireError, type ErrorCode } from '@everywire/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ErrorInfoSchema, RetryInfoSchema } from '../../src/grpc/generated/google/rpc/error_details_pb.js';
import { StatusSchema } from '../../src/grpc/generated/google/rpc/status_pb.js';
import { frameMessage, MessageReader, prefixFlags } from '../../src/grpc/frames.ts';
import { formatTimeout, parseTimeoutMs, readStatus, trailersOf } from '../../src/grpc/status.ts';
import { parseWebTrailers, webTrailersFrame } from '../../src/grpc/web-trailers.ts';

describe('grpc-timeout', () => {
  test.each([
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['0S', 0],
    ['99999999S', 99_999_999_000],
    ['5m', 5],
    ['1500u', 1.5],
    ['1n', 1e-6],
    ['123456789H', undefined],
    ['-1m', undefined],
    ['1x', undefined],
    ['1', undefined],
    ['', undefined],
    ['1s', undefined],
    [' 1S', undefined],
    ['1S\n', undefined],
  ])('%j', (text, timeoutMs) => {
    if (timeoutMs === undefined) expect(parseTimeoutMs(text)).toBeUndefined();
    else expect(parseTimeoutMs(text)).toBeCloseTo(timeoutMs, 9);
  });

  test('what a client writes is its patience, or a little more', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 3e14, noNaN: true }), (timeoutMs) => {
        const read = parseTimeoutMs(formatTimeout(timeoutMs))!;
        expect(read).toBeGreaterThanOrEqual(timeoutMs * (1 - 1e-9));
        expect(read - timeoutMs).toBeLessThanOrEqual(Math.max(1e-6, timeoutMs * 1e-4));
      }),
    );
    expect(formatTimeout(5_000)).toBe('5000000u');
    expect(formatTimeout(Infinity)).toBe('99999999H');
  });
});

describe('trailers', () => {
  test.each(Object.keys(errorTable) as ErrorCode[])('%s', (code) => {
    const trailers = trailersOf(new EverywireError(code, 'Über 100 % — no.\n', { retryAfterMs: 1_500 }));
    expect(trailers['grpc-status']).toBe(String(errorTable[code].grpc));
    expect(trailers['grpc-message']).toMatch(/^[\x20-\x7e]*$/);
    expect(decodeURIComponent(trailers['grpc-message']!)).toBe('Über 100 % — no.\n');
    const status = fromBinary(StatusSchema, Buffer.from(trailers['grpc-status-details-bin']!, 'base64'));
    expect(status).toMatchObject({ code: errorTable[code].grpc, message: 'Über 100 % — no.\n' });
    expect(anyUnpack(status.details[0]!, ErrorInfoSchema)).toMatchObject({
      reason: code.toUpperCase(),
      domain: 'everywire',
    });
    expect(anyUnpack(status.details[1]!, RetryInfoSchema)?.retryDelay).toMatchObject({
      seconds: 1n,
      nanos: 500_000_000,
    });
  });

  test('OK has nothing else', () => {
    expect(trailersOf(undefined)).toEqual({ 'grpc-status': '0' });
  });

  test('a client reads what a server writes', () => {
    const texts = fc.string({ unit: 'binary', maxLength: 40 }).filter((text) => text.isWellFormed());
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(errorTable) as ErrorCode[])),
        texts,
        fc.option(fc.nat(), { nil: undefined }),
        (code, detail, retryAfterMs) => {
          const error = new EverywireError(code, detail, retryAfterMs === undefined ? {} : { retryAfterMs });
          expect(readStatus(trailersOf(error))).toEqual({
            code: errorTable[code].grpc,
            message: detail,
            reason: code.toUpperCase(),
            domain: 'everywire',
            retryAfterMs,
          });
        },
      ),
    );
    expect(readStatus(trailersOf(undefined))).toMatchObject({ code: 0, message: '' });
  });

  test.each([
    ['none', {}, undefined],
    ['no number', { 'grpc-status': 'x' }, undefined],
    [
      'a message that is not percent encoding',
      { 'grpc-status': '3', 'grpc-message': '100% %zz %41é' },
      '100% %zz Aé',
    ],
    [
      'details that are none',
      { 'grpc-status': '3', 'grpc-message': 'a', 'grpc-status-details-bin': '////' },
      'a',
    ],
  ])('of others: %s', (_what, trailers: Record<string, string>, message) => {
    const read = readStatus(trailers);
    expect(read?.message).toBe(message);
    expect(read?.reason).toBeUndefined();
  });
});

describe('gRPC-Web', () => {
  test('messages, then trailers as the last frame, cut at every place', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 3 }), (messages) => {
        const trailers = trailersOf(new EverywireError('forbidden', 'Nein: 100 % — ü.'));
        const bytes = Buffer.concat([
          ...messages.map((one) => frameMessage(one)),
          webTrailersFrame(trailers),
          Buffer.from('behind the end'),
        ]);
        for (let cut = 0; cut <= bytes.length; cut += 1) {
          const reader = new MessageReader(1_000, prefixFlags.webTrailers);
          const found: Buffer[] = [];
          for (const chunk of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
            reader.push(chunk);
            for (let one = reader.next(); one !== undefined; one = reader.next()) found.push(one);
          }
          expect(found).toEqual(messages.map((one) => Buffer.from(one)));
          expect(parseWebTrailers(reader.end!)).toEqual(trailers);
          expect(reader.isWithinMessage).toBe(false);
        }
      }),
      { numRuns: 20 },
    );
  });

  test('the end of a stream of Connect', () => {
    const reader = new MessageReader(1_000, prefixFlags.connectEnd);
    reader.push(frameMessage(Buffer.from('{}'), prefixFlags.connectEnd));
    expect(reader.end).toBeUndefined();
    expect(reader.next()).toBeUndefined();
    expect(reader.end?.toString()).toBe('{}');
  });

  test('trailers as others write them', () => {
    expect(parseWebTrailers(Buffer.from('Grpc-Status:0\r\ngrpc-message: \r\nno colon\r\n'))).toEqual({
      'grpc-status': '0',
      'grpc-message': '',
    });
  });
});
