import fc from 'fast-check';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { describe, expect, it } from 'vitest';
import { Batch } from '../../../src/core/log/batch.ts';
import { envelopeJson } from '../../../src/core/log/envelope.ts';
import { Message } from '../../../src/core/log/message.ts';
import { sseEnvelope, sseRaw, sseWire } from '../../../src/transports/sse/format.ts';

let seq = 0;

function message(payload: Buffer | string, type: string, event?: string): Message {
  seq += 1;
  const place = { epoch: 'abcdef', seq, offset: seq, tag: '0123456789abcdef' };
  const bytes = Buffer.from(payload as string);
  return new Message('demo', place, {
    id: `id-${seq}`,
    timeMs: 1_700_000_000_000,
    type,
    payload: bytes,
    event,
  });
}

/** Another implementation's parser, given the bytes in pieces. */
function read(bytes: Buffer, pieceBytes = bytes.length): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => void events.push(event) });
  const decoder = new TextDecoder();
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    parser.feed(decoder.decode(bytes.subarray(at, at + pieceBytes), { stream: true }));
  }
  return events;
}

const lines = (text: string): string => text.replace(/\r\n|\r/g, '\n');

describe('SSE raw', () => {
  it('carries any text, its line ends told apart no more, in one event each', () => {
    const text = fc.string({
      unit: fc.oneof(
        fc.constantFrom('\r', '\n', '\r\n', 'data: ', 'id: x', '\0', '\uFEFF', '한'),
        fc.string(),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        (texts, piece) => {
          const messages = texts.map((each) => message(each, 'text/plain'));
          const { bytes, ends } = sseRaw.encode(messages);
          const events = read(bytes, piece);
          expect(events.map(({ data }) => data)).toEqual(texts.map(lines));
          expect(events.map(({ id }) => id)).toEqual(messages.map(({ cursor }) => cursor));
          expect(ends?.at(-1)).toBe(bytes.length);
        },
      ),
    );
  });

  it('gives a late reader a slice of the same bytes', () => {
    const messages = ['one', '둘', 'three'].map((text) => message(text, 'text/plain'));
    const batch = new Batch(messages);
    const whole = batch.as(sseRaw);
    expect(batch.as(sseRaw).bytes).toBe(whole.bytes);
    const rest = batch.since(messages[0]!.seq)!.as(sseRaw).bytes;
    expect(read(rest).map(({ data }) => data)).toEqual(['둘', 'three']);
    expect(rest.buffer).toBe(whole.bytes.buffer);
  });

  it('shows a payload that is no text as its envelope, bytes intact', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.constantFrom('application/octet-stream', 'image/png'),
        (payload, type) => {
          const [event] = read(sseRaw.encode([message(Buffer.from(payload), type)]).bytes);
          const envelope = JSON.parse(event!.data) as { base64: string };
          expect(Buffer.from(envelope.base64, 'base64')).toEqual(Buffer.from(payload));
        },
      ),
    );
    const [invalid] = read(sseRaw.encode([message(Buffer.of(0xff, 0xfe), 'text/plain')]).bytes);
    expect(JSON.parse(invalid!.data)).toMatchObject({ base64: '//4=' });
  });

  it('names the event, and cannot be made to forge a field by one', () => {
    const [event] = read(sseRaw.encode([message('x', 'text/plain', 'tick\nid: forged')]).bytes);
    expect(event).toMatchObject({ event: 'tick id: forged', data: 'x' });
    expect(event!.id).toMatch(/^1abcdef/);
  });
});

describe('SSE otherwise', () => {
  it('sends envelopes', () => {
    const one = message('{"a":\n1}', 'application/json', 'tick');
    const [event] = read(sseEnvelope.encode([one]).bytes);
    expect(event).toEqual({ id: one.cursor, event: 'tick', data: envelopeJson(one) });
    expect(JSON.parse(event!.data)).toMatchObject({ channel: 'demo', data: { a: 1 } });
  });

  it('tells a gap whose id is the next cursor', () => {
    const next = { epoch: 'abcdef', seq: 7, tag: '0123456789abcdef' };
    const text = sseWire.gap({ channel: 'demo', from: 1, to: 6, reason: 'retention', next });
    const [event] = read(Buffer.from(text));
    expect(event).toMatchObject({ event: 'everywire.gap', id: '1abcdef.7.0123456789abcdef' });
    expect(JSON.parse(event!.data)).toMatchObject({ channel: 'demo', from: 1, to: 6, reason: 'retention' });
  });

  it('dispatches nothing for what is not a message, and has no blank line that a library takes for an event', () => {
    const quiet = sseWire.heartbeat() + sseWire.goodbye(3000);
    expect(read(Buffer.from(quiet))).toEqual([]);
    expect(quiet).not.toMatch(/(^|\n)\n/);
  });

  it('moves a reader by a named event with JSON', () => {
    const cursor = '1abcdef.7.0123456789abcdef';
    const places = sseWire.begin({ cursor, retryMs: 2000, isPassing: true }) + sseWire.position(cursor);
    const event = { id: cursor, event: 'everywire.position', data: `{"cursor":"${cursor}"}` };
    expect(read(Buffer.from(places))).toEqual([event, event]);
  });

  it.each(['error', 'open', 'message', 'everywire.gap', 'everywire.position'])(
    'sends a message with the label %s as one without, which only its envelope has',
    (label) => {
      const one = message('{"a":1}', 'application/json', label);
      expect(read(sseRaw.encode([one]).bytes)).toEqual([
        { id: one.cursor, event: undefined, data: '{"a":1}' },
      ]);
      const [event] = read(sseEnvelope.encode([one]).bytes);
      expect(event!.event).toBeUndefined();
      expect(JSON.parse(event!.data)).toMatchObject({ event: label, data: { a: 1 } });
    },
  );

  it('has data that is JSON where the type says so, also of an empty payload', () => {
    const [event] = read(sseRaw.encode([message('', 'application/json')]).bytes);
    expect(event!.data).toBe('null');
  });
});
