import { describe, expect, it } from 'vitest';
import { detectType } from '../src/media.ts';

const json = 'application/json';
const text = 'text/plain; charset=utf-8';
const bytes = 'application/octet-stream';

describe('the type of a payload without a declared type', () => {
  it.each([
    ['{"t":21.5}', json],
    [' \r\n[1, 2]\n', json],
    ['{}', json],
    ['{"한":"글"}', json],
    ['{"t":21.5', text],
    ['{t: 1}', text],
    ['[not json]', text],
    ['hello', text],
    ['21.5', text],
    ['true', text],
    ['null', text],
    ['"quoted"', text],
    ['안녕 😀', text],
    ['a=1&b=2', text],
    ['', text],
    ['line\r\n\tline', text],
    ['a\u0000b', bytes],
    ['{"a":"\u0001"}', bytes],
  ])('of %j is %s', (payload, type) => {
    expect(detectType(Buffer.from(payload))).toBe(type);
  });

  it.each([[[0xff, 0xfe]], [[0x7b, 0xff, 0x7d]], [[0xed, 0xa0, 0x80]]])('of %j is bytes', (payload) => {
    expect(detectType(Uint8Array.from(payload))).toBe(bytes);
  });
});
