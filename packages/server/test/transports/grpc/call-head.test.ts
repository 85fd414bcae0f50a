import { describe, expect, test } from 'vitest';
import { encodingOf, readCallHead } from '../../../src/transports/grpc/call-head.ts';

describe('grpc-timeout', () => {
  test('one that no timer can wait for is ignored', () => {
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
