import { shapeOf } from '../../core/media.ts';
import { envelopeJson, formatTime } from '../../core/envelope.ts';
import type { Message } from '../../core/message.ts';
import { cloudEventHeaderPrefix, plainEventType } from '@everywire/wires/webhook';

/** How a delivery is written: our envelope, or a CloudEvent 1.0 in one of the two modes of its HTTP binding. */
export const deliveryFormats = ['envelope', 'cloudevents', 'cloudevents-binary'] as const;
export type DeliveryFormat = (typeof deliveryFormats)[number];

export interface Delivery {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Bytes and type of one delivery. The same message always gives the same bytes: they are signed anew, not made anew. */
export function deliveryOf(message: Message, format: DeliveryFormat): Delivery {
  switch (format) {
    case 'envelope':
      return { headers: { 'Content-Type': 'application/json' }, body: Buffer.from(envelopeJson(message)) };
    case 'cloudevents':
      return {
        headers: { 'Content-Type': 'application/cloudevents+json; charset=utf-8' },
        body: Buffer.from(cloudEventJson(message)),
      };
    case 'cloudevents-binary':
      return {
        headers: { 'Content-Type': contentTypeOf(message), ...cloudEventHeaders(message) },
        body: message.payload,
      };
  }
}

/** The type, without parameters that a field of HTTP cannot carry (RFC 9110 §5.5): such a request would never be sent. */
function contentTypeOf({ type }: Message): string {
  return /^[\t\x20-\x7e]*$/.test(type) ? type : type.slice(0, type.indexOf(';')).trim();
}

/** CloudEvents 1.0, JSON format §3: JSON data is spliced in as it came, text is a string, the rest is base64. */
function cloudEventJson(message: Message): string {
  const shape = shapeOf(message);
  const text = shape === 'binary' ? message.payload.toString('base64') : message.payload.toString();
  const data =
    shape === 'binary'
      ? `"data_base64":"${text}"`
      : `"data":${shape === 'json' ? text || 'null' : JSON.stringify(text)}`;
  const attributes = JSON.stringify({ ...attributesOf(message), datacontenttype: message.type });
  return `${attributes.slice(0, -1)},${data}}`;
}

/** CloudEvents 1.0, HTTP binding §3.1.3: attributes are header fields, percent-encoded where they are not ASCII. */
function cloudEventHeaders(message: Message): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributesOf(message)).map(([name, value]) => [`ce-${name}`, percentEncode(value)]),
  );
}

/**
 * Context attributes. Those of a message that was published as a CloudEvent are given back; our own are extensions, whose
 * names are lower-case letters and digits (§3.1).
 */
function attributesOf(message: Message): Record<string, string> {
  const given = [...(message.headers ?? [])]
    .filter(([name]) => name.startsWith(cloudEventHeaderPrefix))
    .map(([name, value]) => [name.slice(cloudEventHeaderPrefix.length), value] as const)
    .filter(([name]) => /^[a-z0-9]+$/.test(name));
  const isCloudEvent = given.some(([name]) => name === 'id') && given.some(([name]) => name === 'source');
  const own = {
    id: message.id,
    source: `/channels/${message.channel.split('/').map(encodeURIComponent).join('/')}`,
    time: formatTime(message.timeMs),
    subject: message.channel,
  };
  return {
    ...(isCloudEvent ? Object.fromEntries(given) : own),
    specversion: '1.0',
    type: message.event ?? plainEventType,
    everywirecursor: message.cursor,
    // A string: the integers of CloudEvents have 32 bits.
    everywireoffset: String(message.offset),
  };
}

/** HTTP binding §3.1.3.2: space, quote, percent and whatever is not printable ASCII. */
function percentEncode(text: string): string {
  return text.replace(/[^\u0021\u0023\u0024\u0026-\u007e]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}

/** What `POST /webhooks/<id>/test` sends: an envelope of a channel that no message can have. */
export function testBody(id: string, nowMs: number): Buffer {
  return Buffer.from(
    JSON.stringify({
      channel: '$webhooks/test',
      id,
      time: formatTime(nowMs),
      event: 'everywire.test',
      type: 'application/json',
      data: { test: true },
    }),
  );
}

/** What a new endpoint is asked: it answers with the same challenge, and so shows that it wants to be called. */
export function challengeBody(id: string, nowMs: number, challenge: string): Buffer {
  return Buffer.from(
    JSON.stringify({
      channel: '$webhooks/challenge',
      id,
      time: formatTime(nowMs),
      event: 'everywire.challenge',
      type: 'application/json',
      data: { challenge },
    }),
  );
}

/** Whether the answer to a challenge has it: as the whole body, or as the member `challenge` of a JSON object. */
export function hasChallenge(body: string, challenge: string): boolean {
  if (body.trim() === challenge) return true;
  try {
    const value = JSON.parse(body) as unknown;
    return (
      typeof value === 'object' &&
      value !== null &&
      (value as { challenge?: unknown }).challenge === challenge
    );
  } catch {
    return false;
  }
}
