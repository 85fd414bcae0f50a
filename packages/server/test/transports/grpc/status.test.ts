import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { describe, expect, test } from 'vitest';
import { errorTable, EverywireError, type ErrorCode } from '@everywire/protocol';
import { encodingOf, readCallHead } from '../../../src/transports/grpc/call-head.ts';
import {
  ErrorInfoSchema,
  RetryInfoSchema,
} from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import { StatusSchema } from '@everywire/wires/grpc/generated/google/rpc/status_pb.js';
import { parseTimeoutMs, trailersOf } from '@everywire/wires/grpc';

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

  test('one that no timer can wait for is none', () => {
    const head = { te: 'trailers', 'grpc-timeout': '99999999H' };
    expect(readCallHead(head, undefined).timeoutMs).toBeUndefined();
    expect(readCallHead({ ...head, 'grpc-timeout': '5S' }, undefined).timeoutMs).toBe(5_000);
  });
});

test.each([
  ['application/grpc', 'proto'],
  ['application/grpc+proto', 'proto'],
  ['application/grpc+json; charset=utf-8', 'json'],
  ['application/grpc-web', undefined],
  ['application/grpcx', undefined],
  ['application/json', undefined],
  [undefined, undefined],
])('content-type %j', (type, encoding) => {
  expect(encodingOf(type)).toBe(encoding);
});

test('the token is that of Bearer, and -bin metadata is base64', () => {
  const head = { te: 'trailers', authorization: 'bearer  abc.def ' };
  expect(readCallHead(head, { address: '::1' }).caller).toEqual({ token: 'abc.def', address: '::1' });
  expect(
    readCallHead({ te: 'trailers', authorization: 'Basic abc' }, undefined).caller.token,
  ).toBeUndefined();
  for (const value of ['', 'QQ', 'QQ==', 'QQ, QUI='])
    expect(() => readCallHead({ te: 'trailers', 'x-bin': value }, undefined)).not.toThrow();
  for (const value of ['!!!', 'Q-_Q', 'QQ=Q'])
    expect(() => readCallHead({ te: 'trailers', 'x-bin': value }, undefined)).toThrow('base64');
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
});
