import { isUtf8 } from 'node:buffer';
import { shapeOfType } from '@everywire/protocol';
import { cloudEventHeaderPrefix, plainEventType, readForm, type AttributeValue } from './cloud-event.ts';

/** A message to write as a CloudEvent. */
export interface CloudEventMessage {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly id: string;
  readonly timeMs: number;
  readonly type: string;
  readonly payload: Buffer;
  readonly event?: string | undefined;
  readonly headers?: Iterable<readonly [name: string, value: string]> | undefined;
  readonly native?: Buffer | undefined;
}

/** The type, without parameters that an HTTP field cannot carry (RFC 9110 §5.5): Node would refuse to send the request. */
function contentTypeOf(type: string): string {
  return /^[\t\x20-\x7e]*$/.test(type) ? type : type.slice(0, type.indexOf(';')).trim();
}

/** CloudEvents 1.0, JSON format §3: JSON data is copied in unchanged, text is a string, other data is base64. */
export function cloudEventJson(message: CloudEventMessage): string {
  const told = toldType(message);
  const attributes = JSON.stringify({
    ...attributesOf(message),
    ...(told === undefined ? {} : { datacontenttype: told }),
  });
  const form = readForm(message.native);
  if (form?.hasData === false) return attributes;
  const ofType = form?.isBinary === true && told === undefined ? 'binary' : shapeOfType(told ?? message.type);
  // Bytes that are not UTF-8 are binary, also under a text type.
  const shape = isUtf8(message.payload) ? ofType : 'binary';
  const text = shape === 'binary' ? message.payload.toString('base64') : message.payload.toString();
  const data =
    shape === 'binary'
      ? `"data_base64":"${text}"`
      : `"data":${shape === 'json' ? text || 'null' : JSON.stringify(text)}`;
  return `${attributes.slice(0, -1)},${data}}`;
}

/**
 * The header fields of a request whose body is the payload (HTTP binding §3.1.3): attributes, with characters outside
 * ASCII percent-encoded.
 */
export function cloudEventHeaders(message: CloudEventMessage): Record<string, string> {
  const attributes = Object.entries(attributesOf(message)).map(
    ([name, value]) => [cloudEventHeaderPrefix + name, percentEncode(String(value))] as const,
  );
  const form = readForm(message.native);
  // In a body, data that was JSON by being the member `data` has to say so.
  const implied = form?.hasData === true && !form.isBinary ? 'application/json' : undefined;
  const told = toldType(message) ?? implied;
  return {
    ...(told === undefined ? {} : { 'Content-Type': contentTypeOf(told) }),
    ...Object.fromEntries(attributes),
  };
}

/** The `datacontenttype` that the event came with; the type of any other message. */
function toldType(message: CloudEventMessage): string | undefined {
  const form = readForm(message.native);
  return form === undefined ? message.type : form.type;
}

/**
 * The context attributes. A message that was published as a CloudEvent gets its own attributes back; ours are
 * extensions, whose names are lower-case letters and digits (§3.1).
 */
function attributesOf(message: CloudEventMessage): Record<string, AttributeValue> {
  const { values = {} } = readForm(message.native) ?? {};
  const given = [...(message.headers ?? [])]
    .filter(([name]) => name.startsWith(cloudEventHeaderPrefix))
    .map(([name, value]) => [name.slice(cloudEventHeaderPrefix.length), value] as const)
    .filter(([name]) => /^[a-z0-9]+$/.test(name))
    .map(([name, value]) => [name, values[name] ?? value] as const);
  const isCloudEvent = given.some(([name]) => name === 'id') && given.some(([name]) => name === 'source');
  const own = {
    id: message.id,
    source: `/channels/${message.channel.split('/').map(encodeURIComponent).join('/')}`,
    time: new Date(message.timeMs).toISOString(),
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

/** HTTP binding §3.1.3.2: space, quote, percent and everything that is not printable ASCII. */
function percentEncode(text: string): string {
  return text.replace(/[^\u0021\u0023\u0024\u0026-\u007e]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
}
