import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { envelopeJson } from '../../../src/core/log/envelope.ts';
import { makeMessage } from '../make-message.ts';

const parse = (text: string) => JSON.parse(text) as Record<string, unknown>;

describe('envelope', () => {
  it('has the members of the contract, and leaves empty ones out', () => {
    const full = makeMessage({
      type: 'application/json',
      payload: Buffer.from('{"text":"hi"}'),
      event: 'message',
      headers: new Map([['lang', 'ko']]),
      from: 'user-1',
    });
    expect(parse(envelopeJson(full))).toEqual({
      channel: 'demo',
      offset: 1,
      cursor: full.cursor,
      id: 'ID1',
      time: '2026-11-21T09:00:00.123Z',
      event: 'message',
      type: 'application/json',
      data: { text: 'hi' },
      headers: { lang: 'ko' },
      from: 'user-1',
    });
    expect(Object.keys(parse(envelopeJson(makeMessage())))).toEqual([
      'channel',
      'offset',
      'cursor',
      'id',
      'time',
      'type',
      'data',
    ]);
  });

  it('shows what removes a retained message of a JSON type as null', () => {
    const removal = makeMessage({ type: 'application/json', payload: Buffer.alloc(0), retain: true });
    expect(parse(envelopeJson(removal))).toMatchObject({ type: 'application/json', data: null });
  });

  it('is one line of JSON for any payload and names', () => {
    const types = fc.constantFrom(
      'text/plain',
      'application/octet-stream',
      'application/x-www-form-urlencoded',
    );
    fc.assert(
      fc.property(types, fc.uint8Array(), fc.string({ unit: 'binary' }), (type, bytes, name) => {
        const payload = Buffer.from(bytes);
        const text = envelopeJson(
          makeMessage({ type, payload, channel: name, event: name }),
          '"op":"message",',
        );
        expect(text).not.toMatch(/[\r\n]/);
        const { channel, data, base64, op } = parse(text);
        expect(op).toBe('message');
        expect(channel).toBe(name);
        const back = typeof base64 === 'string' ? Buffer.from(base64, 'base64') : Buffer.from(data as string);
        expect(back.equals(payload)).toBe(true);
      }),
    );
  });

  it('splices JSON in without changing its meaning', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), (json) => {
        const pretty = JSON.stringify(JSON.parse(json), null, '\r\n ');
        const text = envelopeJson(makeMessage({ type: 'application/json', payload: Buffer.from(pretty) }));
        expect(text).not.toMatch(/[\r\n]/);
        expect(parse(text)['data']).toEqual(JSON.parse(json));
      }),
    );
  });
});
