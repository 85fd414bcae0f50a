import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import {
  EverywireError,
  JsonFault,
  parseStrictJson,
  RawJson,
  shapeOfType,
  type JsonObject,
} from '@everywire/protocol';
import {
  cloudEventHeaderPrefix,
  plainEventType,
  writeForm,
  type AttributeValue,
  type CloudEvent,
} from './cloud-event.ts';

const structuredType = /^\s*application\/cloudevents\+json\s*(?:;|$)/i;
const batchType = /^\s*application\/cloudevents-batch/i;
// §3.1: lower-case ASCII letters and digits.
const attributeName = /^[a-z0-9]{1,64}$/;
const required = ['specversion', 'id', 'source', 'type'] as const;
/** Members of the JSON form that are not context attributes. */
const dataMembers: ReadonlySet<string> = new Set(['data', 'data_base64']);
/** A longer publish id is hashed, because its length is limited. */
const plainKeyLengthMax = 200;
const nothing = Buffer.alloc(0);

type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

export interface CloudEventLimits {
  readonly jsonDepthMax: number;
}

/** A CloudEvent in the form of a publication. */
export interface CloudEventDraft {
  readonly payload: Buffer;
  /** Absent where nothing tells it. */
  readonly type: string | undefined;
  readonly headers: ReadonlyMap<string, string>;
  readonly event: string | undefined;
  readonly key: string;
  readonly native: Buffer;
}

/**
 * Reads a request that carries a CloudEvent, in either mode of the HTTP binding; `undefined` when it carries none.
 * @throws EverywireError `malformed` for bytes that are not JSON, `invalid` for an event without a required attribute,
 * `unsupported` for a batch
 */
export function readCloudEvent(
  headers: Fields,
  body: Buffer,
  limits: CloudEventLimits,
): CloudEvent | undefined {
  const type = headers['content-type'] as string | undefined;
  if (type !== undefined && batchType.test(type)) {
    throw new EverywireError(
      'unsupported',
      'Batches of CloudEvents are not supported. Publish several messages with POST /publish.',
    );
  }
  if (type !== undefined && structuredType.test(type)) return structured(body, limits);
  if (headers[`${cloudEventHeaderPrefix}specversion`] !== undefined) return binary(headers, type, body);
  return undefined;
}

/**
 * Makes a publication of the CloudEvent in a request: its data is the payload, its `type` the event name, and every
 * other context attribute a header `ce-<name>`, so that a later delivery as a CloudEvent has all of it.
 * @throws EverywireError as `readCloudEvent`
 */
export function cloudEventDraft(
  headers: Fields,
  body: Buffer,
  limits: CloudEventLimits,
): CloudEventDraft | undefined {
  const event = readCloudEvent(headers, body, limits);
  return event && draftOf(event);
}

/** JSON format §3: `data` is the payload as raw JSON, `data_base64` its bytes. */
function structured(body: Buffer, { jsonDepthMax }: CloudEventLimits): CloudEvent {
  if (!isUtf8(body)) throw new EverywireError('malformed', 'The JSON is not UTF-8.');
  const value = parseStrictJson(body.toString(), {
    depthMax: jsonDepthMax,
    isRaw: (name, depth) => name === 'data' && depth === 1,
  });
  if (value instanceof JsonFault) throw new EverywireError('malformed', value.detail);
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof RawJson)
    throw invalid('A CloudEvent must be a JSON object.');
  const members = value as JsonObject;
  const attributes = new Map<string, AttributeValue>();
  for (const [name, given] of Object.entries(members)) {
    if (dataMembers.has(name) || given === null) continue;
    if (typeof given !== 'string' && typeof given !== 'boolean' && typeof given !== 'number')
      throw invalid(`The attribute ${name} must be a string, a boolean or an integer.`);
    attributes.set(name, given);
  }
  const { data, data_base64: base64 } = members;
  if (data !== undefined && base64 !== undefined)
    throw invalid('A CloudEvent must have either data or data_base64.');
  const type = textOf(attributes, 'datacontenttype');
  const isBinary = base64 !== undefined;
  // §3.1.2: without datacontenttype, the member `data` implies JSON, and nothing else does.
  const implied = data instanceof RawJson ? 'application/json' : undefined;
  return checked({ attributes, data: dataOf(data, base64, type), type: type ?? implied, isBinary });
}

function dataOf(data: unknown, base64: unknown, type: string | undefined): Buffer | undefined {
  if (base64 !== undefined) {
    if (typeof base64 !== 'string' || Buffer.from(base64, 'base64').toString('base64') !== base64)
      throw invalid('data_base64 is not valid base64 (RFC 4648 §4).');
    return Buffer.from(base64, 'base64');
  }
  if (!(data instanceof RawJson)) return undefined;
  // §3.1.1: under a type that is not JSON, a string is the text itself.
  const isJson = type === undefined || /[/+]json\s*(?:;|$)/i.test(type);
  return Buffer.from(!isJson && data.text.startsWith('"') ? (JSON.parse(data.text) as string) : data.text);
}

/** HTTP binding §3.1: attributes are header fields; characters outside ASCII are percent-encoded. */
function binary(headers: Fields, type: string | undefined, body: Buffer): CloudEvent {
  const attributes = new Map<string, AttributeValue>();
  for (const [field, given] of Object.entries(headers)) {
    if (!field.startsWith(cloudEventHeaderPrefix) || typeof given !== 'string') continue;
    attributes.set(field.slice(cloudEventHeaderPrefix.length), percentDecode(field, given));
  }
  // §3.1.1: the field Content-Type is the attribute.
  if (type !== undefined) attributes.set('datacontenttype', type);
  return checked({
    attributes,
    data: body.length === 0 ? undefined : body,
    type,
    isBinary: type === undefined,
  });
}

function checked(event: CloudEvent): CloudEvent {
  const { attributes } = event;
  for (const name of required)
    if (typeof attributes.get(name) !== 'string' || attributes.get(name) === '')
      throw invalid(`A CloudEvent must have the attribute ${name}.`);
  if (attributes.get('specversion') !== '1.0') throw invalid('specversion must be 1.0.');
  for (const name of attributes.keys())
    if (!attributeName.test(name)) throw invalid('Attribute names must be lower-case letters and digits.');
  return event;
}

function draftOf(event: CloudEvent): CloudEventDraft {
  const { attributes, data, type } = event;
  const headers = new Map<string, string>();
  for (const [name, value] of attributes) {
    if (name !== 'specversion' && name !== 'type' && name !== 'datacontenttype')
      headers.set(cloudEventHeaderPrefix + name, String(value));
  }
  const eventType = textOf(attributes, 'type')!;
  return {
    payload: data ?? nothing,
    // An event without data may tell a type of JSON, which no bytes are not.
    type: data === undefined && type !== undefined && shapeOfType(type) === 'json' ? undefined : type,
    headers,
    event: eventType === plainEventType ? undefined : eventType,
    key: keyOf(textOf(attributes, 'source')!, textOf(attributes, 'id')!),
    native: writeForm(event),
  };
}

function textOf(attributes: CloudEvent['attributes'], name: string): string | undefined {
  const value = attributes.get(name);
  return value === undefined ? undefined : String(value);
}

/** Source and id together identify one event (§3.1), so they are its publish id: a producer may send it again. */
function keyOf(source: string, id: string): string {
  const key = `ce ${source} ${id}`;
  return key.length <= plainKeyLengthMax ? key : `ce ${createHash('sha256').update(key).digest('hex')}`;
}

function percentDecode(field: string, value: string): string {
  try {
    return decodeURIComponent(value.replace(/%(?![0-9a-fA-F]{2})/g, '%25'));
  } catch {
    throw new EverywireError('malformed', `The field ${field} is not UTF-8 in percent encoding.`);
  }
}

function invalid(detail: string): EverywireError {
  return new EverywireError('invalid', detail);
}
