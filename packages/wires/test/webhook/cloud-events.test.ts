import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cloudEventDraft, readCloudEvent } from '../../src/webhook/read-cloud-event.ts';
import {
  cloudEventHeaders,
  cloudEventJson,
  type CloudEventMessage,
} from '../../src/webhook/write-cloud-event.ts';

const limits = { jsonDepthMax: 64 };
const texts = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((text) => text.isWellFormed());
const content = fc.oneof(
  fc.json({ maxDepth: 2 }).map((text) => ({ type: 'application/json', payload: Buffer.from(text) })),
  texts.map((text) => ({ type: 'text/plain; charset=utf-8', payload: Buffer.from(text) })),
  fc
    .uint8Array({ minLength: 1, maxLength: 20 })
    .map((bytes) => ({ type: 'image/png', payload: Buffer.from(bytes) })),
);
const messages: fc.Arbitrary<CloudEventMessage> = fc
  .record({
    content,
    event: fc.option(texts, { nil: undefined }),
    timeMs: fc.nat(2 ** 41),
    offset: fc.nat(),
    own: fc.option(fc.record({ id: texts, source: texts, more: texts }), { nil: undefined }),
  })
  .map(({ content: { type, payload }, event, timeMs, offset, own }) => ({
    channel: 'chat/한 1',
    offset,
    cursor: '1abc.2.tag',
    id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    timeMs,
    type,
    payload,
    event,
    headers: own && [
      ['ce-id', own.id],
      ['ce-source', own.source],
      ['ce-more', own.more],
      ['x-other', 'not an attribute'],
    ],
  }));

/** Requests as a receiver gets them. */
const modes = {
  structured: (message: CloudEventMessage) => ({
    headers: { 'content-type': 'application/cloudevents+json; charset=utf-8' },
    body: Buffer.from(cloudEventJson(message)),
  }),
  binary: (message: CloudEventMessage) => ({
    headers: Object.fromEntries(
      Object.entries(cloudEventHeaders(message)).map(([name, value]) => [name.toLowerCase(), value]),
    ),
    body: message.payload,
  }),
};

describe.each(Object.entries(modes))('%s mode', (_name, request) => {
  test('what is written is read: attributes, type and payload', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const { headers, body } = request(message);
        for (const value of Object.values(headers)) expect(value).toMatch(/^[\x20-\x7e]*$/);
        const event = readCloudEvent(headers, body, limits)!;
        expect(event.type).toBe(message.type);
        expect(event.data ?? Buffer.alloc(0)).toEqual(message.payload);
        const given = new Map(message.headers);
        expect(Object.fromEntries(event.attributes)).toMatchObject({
          specversion: '1.0',
          id: given.get('ce-id') ?? message.id,
          type: message.event ?? 'everywire.message',
          everywirecursor: message.cursor,
          everywireoffset: String(message.offset),
          ...(message.headers === undefined
            ? { subject: message.channel, time: new Date(message.timeMs).toISOString() }
            : { more: given.get('ce-more') }),
        });
        expect([...event.attributes.keys()]).not.toContain('other');
      }),
    );
  });

  test('and published again it is the same message, under a publish id of its source and id', () => {
    fc.assert(
      fc.property(messages, (message) => {
        const { headers, body } = request(message);
        const draft = cloudEventDraft(headers, body, limits)!;
        expect(draft.payload).toEqual(message.payload);
        expect(draft.type).toBe(message.type);
        expect(draft.event).toBe(message.event === 'everywire.message' ? undefined : message.event);
        expect(draft.key).toMatch(/^ce /);
        expect(draft.headers.has('ce-type')).toBe(false);
      }),
    );
  });
});

/** As the npm package `cloudevents` writes them, and as others may. */
const base = { specversion: '1.0', id: 'A', source: '/shop', type: 'paid' };
const structuredType = { 'content-type': 'application/cloudevents+json' };
const binaryFields = { 'ce-specversion': '1.0', 'ce-id': 'A', 'ce-source': '/shop', 'ce-type': 'paid' };

function through(headers: Readonly<Record<string, string>>, body: string): CloudEventMessage {
  const draft = cloudEventDraft(headers, Buffer.from(body), limits)!;
  const place = { channel: 'c', offset: 1, cursor: '1.1.1', id: 'ID', timeMs: 0 };
  return { ...place, ...draft, type: draft.type ?? 'application/octet-stream' };
}

test.each([
  ['no data', base],
  ['no data, of a told type', { ...base, datacontenttype: 'application/json' }],
  ['data_base64 of no told type', { ...base, data_base64: 'eyJhIjoxfQ==' }],
  ['data_base64 of a told type', { ...base, datacontenttype: 'image/png', data_base64: 'AAEC' }],
  ['data of no told type', { ...base, data: { n: 1 } }],
  ['null', { ...base, data: null }],
  ['text', { ...base, datacontenttype: 'text/plain', data: 'hi' }],
  ['a boolean and an integer', { ...base, sampled: true, count: 42, text: '42', data: 1 }],
])('leaves unchanged, structured: %s', (_name, event) => {
  const written = JSON.parse(cloudEventJson(through(structuredType, JSON.stringify(event)))) as object;
  // The delivery adds its own two attributes.
  const ours = ['everywirecursor', 'everywireoffset'];
  const rest = Object.entries(written).filter(([name]) => !ours.includes(name));
  expect(Object.fromEntries(rest)).toEqual(event);
});

test('an empty body in binary mode is an event without data', () => {
  const sdk = { ...binaryFields, 'content-type': 'application/json; charset=utf-8' };
  const message = through(sdk, '');
  expect(cloudEventDraft(sdk, Buffer.alloc(0), limits)!.type).toBeUndefined();
  expect(cloudEventHeaders(message)['Content-Type']).toBe('application/json; charset=utf-8');
  expect(JSON.parse(cloudEventJson(message))).not.toHaveProperty('data');
  expect(cloudEventHeaders(through(binaryFields, ''))).not.toHaveProperty('Content-Type');
});

test('a body of no told type is bytes, and data of no told type JSON', () => {
  const bytes = through(binaryFields, '{"a":1}');
  expect(JSON.parse(cloudEventJson(bytes))).toMatchObject({ data_base64: 'eyJhIjoxfQ==' });
  const json = through(structuredType, JSON.stringify({ ...base, data: { a: 1 } }));
  expect(cloudEventHeaders(json)['Content-Type']).toBe('application/json');
});

test('a request without a CloudEvent gives nothing', () => {
  expect(readCloudEvent({ 'content-type': 'application/json' }, Buffer.from('{}'), limits)).toBeUndefined();
});

test('any body is an event or a refusal', () => {
  const type = { 'content-type': 'application/cloudevents+json' };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        expect(readCloudEvent(type, Buffer.from(bytes), limits)).toBeTypeOf('object');
      } catch (error) {
        expect(error).toMatchObject({ name: 'EverywireError' });
      }
    }),
  );
});
