import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { JsonFault, RawJson } from '@everywire/protocol';
import { parseJsonBytes } from '../../../packages/server/src/http/json-bytes.ts';
import type { Harness } from '../harness.ts';

const depthMax = 8;

export const harness: Harness = {
  name: 'strict-json',
  inputBytesMax: 400,
  seeds: [
    '[{"channel":"a","data":{"text":"hi"},"headers":{"lang":"ko"},"ttl":1.5e3}]',
    '{"a":[1,-0,1e400,"\\ud83d\\ude00","\\u0000",null,true,false],"b":{}}',
    ' \t\r\n[ ] ',
    '{"data":{"x":[1,2,{"y":"]}"}]},"id":12345678901234567890}',
    '{"a":1,"a":2}',
    '"\\ud800"',
    '\ufeff{}',
    '[[[[[[[[[]]]]]]]]]',
    '{"__proto__":{"x":1},"constructor":1,"toString":2}',
    '01',
    Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]),
  ],
  dictionary: [
    '"__proto__"',
    '\\u',
    '\\ud800',
    '"data"',
    '1e309',
    '{"',
    '":',
    '],[',
    'null',
    'true',
    'false',
  ],
  run: (input) => {
    const value = parseJsonBytes(input, { depthMax });
    const raw = parseJsonBytes(input, { depthMax, isRaw: (name) => name === 'data' });
    assert.equal(value instanceof JsonFault, raw instanceof JsonFault, 'raw members change no verdict');
    const text = input.toString();
    if (value instanceof JsonFault) {
      assert.match(value.detail, /\.$/, 'a fault is a sentence');
      assert.ok(value.at >= 0 && value.at <= text.length);
      return false;
    }
    assert.ok(isUtf8(input));
    // Programs parse the JSON that we pass on again, and have to get the same value.
    const again: unknown = JSON.parse(text);
    assert.deepEqual(plain(value), again);
    assert.deepEqual(plain(raw), again, 'raw members are JSON of the same value');
    return true;
  },
};

/** With the prototypes that `JSON.parse` gives. */
function plain(value: unknown): unknown {
  if (value instanceof RawJson) return JSON.parse(value.text);
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}
