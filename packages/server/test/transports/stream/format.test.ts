import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Message } from '../../../src/core/log/message.ts';
import { ndjson, ndjsonWire } from '../../../src/transports/stream/format.ts';

function message(seq: number, payload: Buffer, type: string): Message {
  const place = { epoch: 'abcdef', seq, offset: seq, tag: '0123456789abcdef' };
  return new Message('demo', place, { id: `id-${seq}`, timeMs: 1_700_000_000_000, type, payload });
}

describe('NDJSON', () => {
  it('is one line a message, for any payload', () => {
    const type = fc.constantFrom('text/plain', 'application/octet-stream');
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array(), type), { minLength: 1 }), (payloads) => {
        const messages = payloads.map(([bytes, each], at) => message(at + 1, Buffer.from(bytes), each));
        const { bytes, ends } = ndjson.encode(messages);
        const lines = bytes.toString().split('\n');
        expect(lines.pop()).toBe('');
        expect(ends?.at(-1)).toBe(bytes.length);
        const read = lines.map(
          (line) => JSON.parse(line) as { offset: number; data?: string; base64?: string },
        );
        expect(read.map(({ offset }) => offset)).toEqual(messages.map(({ offset }) => offset));
        for (const [at, { data, base64 }] of read.entries()) {
          const payload = data === undefined ? Buffer.from(base64!, 'base64') : Buffer.from(data);
          expect(payload.equals(messages[at]!.payload)).toBe(true);
        }
      }),
    );
  });

  it('keeps JSON with line breaks between its tokens on one line', () => {
    const { bytes } = ndjson.encode([message(1, Buffer.from('{\r\n "a": [1,\n2]}'), 'application/json')]);
    expect(bytes.toString().indexOf('\n')).toBe(bytes.length - 1);
    expect(JSON.parse(bytes.toString())).toMatchObject({ data: { a: [1, 2] } });
  });

  it('says in one line what is not a message', () => {
    const next = { epoch: 'abcdef', seq: 7, tag: '0123456789abcdef' };
    const gap = ndjsonWire.gap({ channel: 'demo', from: 1, to: 6, reason: 'retention', next });
    expect(gap.indexOf('\n')).toBe(gap.length - 1);
    expect(JSON.parse(gap)).toEqual({
      gap: { channel: 'demo', from: 1, to: 6, reason: 'retention', cursor: '1abcdef.7.0123456789abcdef' },
    });
    expect(ndjsonWire.heartbeat()).toBe('\n');
    expect(JSON.parse(ndjsonWire.goodbye(3000))).toEqual({ goaway: { retryAfterMs: 3000 } });
  });
});
