import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { base64OfBytes, bytesOfBase64, isBase64 } from '../src/base64.ts';
import {
  gapNotice,
  payloadMember,
  payloadOf,
  readEnvelope,
  readGapNotice,
  readReceipt,
  receipt,
  timeOfId,
  writeEnvelope,
  type MessageFields,
} from '../src/envelope.ts';
import { parseExactly } from '../src/exact-json.ts';
import { shapeOfType } from '../src/media.ts';

const text = fc.string({ unit: 'binary' });
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const types = fc.constantFrom('text/plain', 'application/octet-stream', 'application/json', 'image/svg+xml');
const fields: fc.Arbitrary<MessageFields> = fc.record({
  channel: text,
  offset: fc.nat(),
  cursor: fc.constant('1abcdef.z.0123456789abcdef'),
  id: text,
  timeMs: fc.nat(4_000_000_000_000),
  event: optional(text),
  type: types,
  headers: optional(
    fc
      .dictionary(
        text.filter((name) => name !== '__proto__'),
        text,
        { minKeys: 1 },
      )
      .map((record) => new Map(Object.entries(record))),
  ),
  from: optional(text),
});

const sample: MessageFields = {
  channel: 'demo',
  offset: 1,
  cursor: '1abcdef.1.0123456789abcdef',
  id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
  timeMs: 1_469_922_850_259,
  type: 'text/plain',
};

const utf8 = (value: string): Uint8Array => new TextEncoder().encode(value);

describe('an envelope', () => {
  it('is read as it was written: any fields and bytes', () => {
    fc.assert(
      fc.property(fields, fc.uint8Array({ maxLength: 100 }), (message, bytes) => {
        const payload = shapeOfType(message.type) === 'json' ? utf8(JSON.stringify([...bytes])) : bytes;
        const written = writeEnvelope(message, payloadMember(message.type, payload));
        expect(written).not.toMatch(/[\r\n]/);
        const envelope = readEnvelope(parseExactly(written))!;
        const { channel, offset, cursor, id, event, type, headers, from } = envelope;
        expect({ channel, offset, cursor, id, event, type, from }).toEqual({
          channel: message.channel,
          offset: message.offset,
          cursor: message.cursor,
          id: message.id,
          event: message.event,
          type: message.type,
          from: message.from,
        });
        expect(Date.parse(envelope.time)).toBe(message.timeMs);
        expect(headers === undefined ? undefined : new Map(Object.entries(headers))).toEqual(message.headers);
        expect([...payloadOf(envelope)!]).toEqual([...payload]);
      }),
    );
  });

  it('keeps the numbers of a JSON payload', () => {
    const payload = utf8('{"big":12345678901234567890,"exact":1.0,"list":[9007199254740993,-0,1e400]}');
    const message = { ...sample, type: 'application/json' };
    const written = writeEnvelope(message, payloadMember(message.type, payload));
    expect([...payloadOf(readEnvelope(parseExactly(written))!)!]).toEqual([...payload]);
  });

  it('keeps a byte order mark that begins a text', () => {
    const payload = utf8('\uFEFFa');
    const written = writeEnvelope(sample, payloadMember(sample.type, payload));
    expect([...payloadOf(readEnvelope(JSON.parse(written))!)!]).toEqual([...payload]);
  });

  it.each([
    ['no object', []],
    ['a member missing', { ...sampleEnvelope(), cursor: undefined }],
    ['neither data nor base64', { ...sampleEnvelope(), data: undefined }],
    ['both', { ...sampleEnvelope(), base64: '' }],
    ['an offset that is no number', { ...sampleEnvelope(), offset: '1' }],
    ['headers that are no strings', { ...sampleEnvelope(), headers: { a: 1 } }],
    ['headers that are a list', { ...sampleEnvelope(), headers: [] }],
  ])('is not %s', (_what, value) => {
    expect(readEnvelope(JSON.parse(JSON.stringify(value)))).toBeUndefined();
  });

  it('is read from nothing that is not one, for any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(readEnvelope(value)).toBeUndefined();
        expect(readGapNotice(value)).toBeUndefined();
        expect(readReceipt(value)).toBeUndefined();
      }),
    );
  });

  it('of invalid base64 has no payload', () => {
    expect(payloadOf({ ...sampleEnvelope(), data: undefined, base64: 'a' })).toBeUndefined();
  });
});

function sampleEnvelope() {
  return { channel: 'demo', offset: 1, cursor: 'c', id: 'i', time: 't', type: 'text/plain', data: '' };
}

describe('notices and receipts', () => {
  it('are read as they were written', () => {
    const next = { epoch: 'abcdef', seq: 7, tag: '0123456789abcdef' };
    for (const range of [{}, { from: 3, to: 5 }]) {
      const notice = gapNotice({ channel: 'a', reason: 'retention', next, ...range });
      expect(readGapNotice(JSON.parse(JSON.stringify(notice)))).toEqual(notice);
    }
    for (const duplicate of [false, true]) {
      const written = receipt({ ...sample, duplicate });
      expect(readReceipt(JSON.parse(JSON.stringify(written)))).toEqual(written);
      expect(written.duplicate).toBe(duplicate ? true : undefined);
    }
    const newer = { channel: 'a', reason: 'of_a_newer_server', cursor: 'c' };
    expect(readGapNotice(newer)).toBe(newer);
  });
});

it('the time of an id is that of its message', () => {
  expect(timeOfId('01ARZ3NDEKTSV4RRFFQ69G5FAV')).toBe(1_469_922_850_259);
});

describe('base64', () => {
  it('is what Node makes of any bytes, and comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const base64 = base64OfBytes(bytes);
        expect(base64).toBe(Buffer.from(bytes).toString('base64'));
        expect([...bytesOfBase64(base64)!]).toEqual([...bytes]);
      }),
    );
    const long = new Uint8Array(100_000).map((_, at) => at);
    expect(bytesOfBase64(base64OfBytes(long))).toEqual(long);
    expect(isBase64('AAAA'.repeat(2 ** 21))).toBe(true);
    expect(isBase64(`${'AAAA'.repeat(2 ** 21)}?`)).toBe(false);
  });

  it.each(['a', 'ab', 'abc', 'ab=c', 'ab==cd==', ' abcd', 'ab-_', 'abcd\n'])('is not %j', (one) => {
    expect(bytesOfBase64(one)).toBeUndefined();
  });
});
