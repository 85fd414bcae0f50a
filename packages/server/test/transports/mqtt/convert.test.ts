import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkDraft } from '../../../src/core/log/drafts.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { Message } from '../../../src/core/log/message.ts';
import type { Publish, PublishProperties } from '@everywire/wires/mqtt';
import { deliveryQos, draftOf, propertiesOf } from '../../../src/transports/mqtt/convert.ts';
import { makeMessage } from '../../core/make-message.ts';
import { propertyValues } from '../../../../wires/test/mqtt/packet-arbitraries.ts';

const nowMs = Date.UTC(2026, 10, 21, 9);
const limits = { ...defaultLimits, messageHeadersMax: 1_000, messageHeaderBytesMax: 100_000 };

function publish(properties: PublishProperties, given: Partial<Publish> = {}): Publish {
  return {
    type: 'publish',
    topic: 'demo',
    payload: Buffer.from('hello'),
    qos: 1,
    retain: false,
    dup: false,
    packetId: 1,
    properties,
    ...given,
  };
}

/** What the store makes of a PUBLISH: the hub's own checks between. */
function stored(packet: Publish, from?: string): Message {
  const draft = checkDraft(draftOf(packet), { id: 'ID', nowMs, from }, limits);
  const place = { epoch: 'epoch1', seq: 1, offset: 1, tag: '0123456789abcdef' };
  return new Message(packet.topic, place, draft);
}

const properties = fc.record(
  {
    payloadFormatIndicator: propertyValues.payloadFormatIndicator,
    messageExpiryIntervalSeconds: fc.oneof(
      fc.integer({ min: 1, max: 1_000 }),
      fc.integer({ min: 315_360_001, max: 0xffff_ffff }),
    ),
    contentType: fc.oneof(
      propertyValues.contentType,
      fc.constantFrom('text/plain', 'application/json', 'a/b;c="d"'),
    ),
    responseTopic: propertyValues.responseTopic,
    correlationData: propertyValues.correlationData,
    userProperties: fc.oneof(
      propertyValues.userProperties,
      fc.constant<[string, string][]>([
        ['b', '1'],
        ['a', '2'],
        ['b', '3'],
      ]),
      fc.constant<[string, string][]>([['', 'line\nbreak']]),
    ),
  },
  { requiredKeys: [] },
);

describe('what a PUBLISH says comes out unaltered', () => {
  test('[MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20], of any kind', () => {
    fc.assert(
      fc.property(properties, fc.uint8Array({ maxLength: 20 }), (said, payload) => {
        const message = stored(publish(said, { payload: Buffer.from(payload) }));
        expect(propertiesOf(message, nowMs)).toEqual(said);
        expect(message.payload).toEqual(Buffer.from(payload));
      }),
      { numRuns: 2_000 },
    );
  });

  test('and its QoS bounds that of its deliveries', () => {
    for (const qos of [0, 1, 2] as const) {
      for (const granted of [0, 1, 2] as const) {
        expect(deliveryQos(stored(publish({}, { qos })), granted)).toBe(Math.min(qos, granted));
      }
    }
  });

  test('at the cost of two shared bytes when it says nothing else', () => {
    const [one, two] = [stored(publish({})), stored(publish({}))];
    expect(one.native).toEqual(Buffer.from([1, 1]));
    const older = (packet: Publish) => draftOf({ ...packet, properties: {} }).native;
    expect(older(publish({}))).toEqual(two.native);
  });
});

describe('what other transports see', () => {
  test('user properties are headers, the last of a name', () => {
    const said = publish({
      userProperties: [
        ['lang', 'ko'],
        ['x', '1'],
        ['x', '2'],
        ['bad', 'line\nbreak'],
      ],
    });
    expect([...stored(said).headers!]).toEqual([
      ['lang', 'ko'],
      ['x', '2'],
    ]);
  });

  test('names that only the server sets are dropped, in every case', () => {
    const said = publish({
      userProperties: [
        ['Everywire-From', 'root'],
        ['everywire-id', '1'],
        ['kept', 'yes'],
      ],
    });
    expect(propertiesOf(stored(said), nowMs).userProperties).toEqual([['kept', 'yes']]);
    expect(propertiesOf(stored(said, 'user-1'), nowMs).userProperties).toEqual([
      ['kept', 'yes'],
      ['everywire-from', 'user-1'],
    ]);
    expect(propertiesOf(stored(publish({}), 'user-1'), nowMs).userProperties).toEqual([
      ['everywire-from', 'user-1'],
    ]);
    expect([...stored(said).headers!]).toEqual([['kept', 'yes']]);
  });

  test('the content type is the type when it is one', () => {
    const typeOf = (contentType: string, payload: string | Buffer = '{"a":1}') =>
      stored(publish({ contentType }, { payload: Buffer.from(payload) })).type;
    expect(typeOf('application/json')).toBe('application/json');
    expect(typeOf('text/html; charset=utf-8')).toBe('text/html; charset=utf-8');
    expect(typeOf('text')).toBe('application/json');
    expect(typeOf('application/json', 'not json')).toBe('text/plain; charset=utf-8');
    expect(typeOf('application/json', Buffer.from([0xff]))).toBe('application/octet-stream');
  });

  test('without one, the payload tells text from bytes', () => {
    const typeOf = (payload: Buffer) => stored(publish({}, { payload })).type;
    expect(typeOf(Buffer.from('21.5 °C\r\n\tok'))).toBe('text/plain; charset=utf-8');
    expect(typeOf(Buffer.alloc(0))).toBe('text/plain; charset=utf-8');
    for (const bytes of [[0], [0xff], [0x1b, 0x5b], [0x7f], [0xc0, 0x80], [0xed, 0xa0, 0x80]]) {
      expect(typeOf(Buffer.from(bytes))).toBe('application/octet-stream');
    }
  });

  test('the message expiry interval is the time to live', () => {
    expect(stored(publish({ messageExpiryIntervalSeconds: 60 })).expiresAtMs).toBe(nowMs + 60_000);
    // 0 is over at once; the longest that MQTT can say is longer than the log keeps anything.
    expect(stored(publish({ messageExpiryIntervalSeconds: 0 })).expiresAtMs).toBe(nowMs + 1);
    expect(stored(publish({ messageExpiryIntervalSeconds: 0xffff_ffff })).expiresAtMs).toBeDefined();
  });
});

describe('what a message of another transport says in MQTT 5', () => {
  test('its type, that it is text, its headers, and what only the server names', () => {
    const message = makeMessage({
      type: 'application/json',
      payload: Buffer.from('{}'),
      headers: new Map([['lang', 'ko']]),
      event: 'created',
      from: 'user-1',
      id: '01JD',
    });
    expect(propertiesOf(message, undefined)).toEqual({
      payloadFormatIndicator: 1,
      contentType: 'application/json',
      userProperties: [
        ['lang', 'ko'],
        ['everywire-id', '01JD'],
        ['everywire-event', 'created'],
        ['everywire-from', 'user-1'],
      ],
    });
  });

  test('nothing of text when the bytes are none', () => {
    const message = makeMessage({ type: 'text/plain', payload: Buffer.from([0xff]) });
    expect(propertiesOf(message, undefined).payloadFormatIndicator).toBeUndefined();
  });

  test('what another transport kept beside it is not taken for MQTT', () => {
    const message = makeMessage({ native: Buffer.from([2, 0, 9, 9]) });
    expect(deliveryQos(message, 2)).toBe(2);
    expect(propertiesOf(message, undefined).contentType).toBe('text/plain');
  });
});
