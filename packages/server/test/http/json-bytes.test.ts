import { JsonFault } from '@everywire/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJsonBytes } from '../../src/http/json-bytes.ts';

const options = { depthMax: 32 };

describe('JSON in bytes', () => {
  it('never throws, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseJsonBytes(Buffer.from(bytes), options);
      }),
    );
  });

  it('reads UTF-8 and refuses anything else', () => {
    expect(parseJsonBytes(Buffer.from('"é😀"'), options)).toBe('é😀');
    expect(parseJsonBytes(Buffer.from('"é"', 'latin1'), options)).toEqual(
      new JsonFault('The JSON is not UTF-8.', 0),
    );
  });
});
