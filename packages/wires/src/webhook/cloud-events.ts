import { createHash } from 'node:crypto';
import { EverywireError, JsonFault, RawJson, type JsonObject } from '@everywire/protocol';
import type { HttpLimits } from '../../../server/src/http/limits.ts';
import type { PublishDraft } from '../../../server/src/core/transport.ts';
import { parseJsonBytes } from '../../../server/src/http/json-bytes.ts';

/**
 * CloudEvents 1.0 as something to publish. The event's data is the payload, its `type` the message's event name, and every
 * other context attribute a header `ce-<name>`, so that whoever delivers a CloudEvent again has all of it.
 */

export const cloudEventHeaderPrefix = 'ce-';
/** `type` of a CloudEvent made from a message that has no event name; coming back, it is none again. */
export const plainEventType = 'everywire.message';

const structuredType = /^\s*application\/cloudevents\+json\s*(?:;|$)/i;
const batchType = /^\s*application\/cloudevents-batch/i;
// §3.1: lower-case ASCII letters and digits.
const attributeName = /^[a-z0-9]{1,64}$/;
const required = ['specversion', 'id', 'source', 'type'] as const;
/** Members of the JSON form that are not context attributes. */
const dataMembers: ReadonlySet<string> = new Set(['data', 'data_base64']);
/** What a channel's publish ids hold at most; a longer one is hashed. */
const plainKeyLengthMax = 200;

type Fields = Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Reads a request that carries a CloudEvent, in either mode of the HTTP binding; `undefined` when it carries none.
 * @throws EverywireError `malformed` for JSON that is none, `invalid` for an event that lacks what it must have,
 * `unsupported` for a batch
 */
export function cloudEventDraft(headers: Fields, body: Buffer, limits: HttpLimits): PublishDraft | undefined {
  const type = headers['content-type'] as string | undefined;
  if (type !== undefined && batchType.test(type)) {
    throw new EverywireError(
      'unsupported',
      'Batches of CloudEvents are not taken; POST /publish takes several messages.',
    );
  }
  if (type !== undefined && structuredType.test(type)) return structured(body, limits);
  if (headers['ce-specversion'] !== undefined) return binary(headers, type, body);
  return undefined;
}

/** JSON format §3: `data` is the payload as it was written, `data_base64` its bytes. */
function structured(body: Buffer, { jsonDepthMax }: HttpLimits): PublishDraft {
  const value = parseJsonBytes(body, {
    depthMax: jsonDepthMax,
    isRaw: (name, depth) => name === 'data' && depth === 1,
  });
  if (value instanceof JsonFault) throw new EverywireError('malformed', value.detail);
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof RawJson)
    throw invalid('A CloudEvent is a JSON object.');
  const members = value as JsonObject;
  const attributes = new Map<string, string>();
  for (const [name, given] of Object.entries(members)) {
    if (dataMembers.has(name) || given === null) continue;
    if (typeof given !== 'string' && typeof given !== 'boolean' && typeof given !== 'number')
      throw invalid(`The attribute ${name} is a string, a boolean or an integer.`);
    attributes.set(name, String(given));
  }
  const { data, data_base64: base64 } = members;
  if (data !== undefined && base64 !== undefined) throw invalid('A CloudEvent has data or data_base64.');
  const type = attributes.get('datacontenttype');
  return draftOf(attributes, dataOf(data, base64, type), type ?? 'application/json');
}

function dataOf(data: unknown, base64: unknown, type: string | undefined): Buffer {
  if (base64 !== undefined) {
    if (typeof base64 !== 'string' || Buffer.from(base64, 'base64').toString('base64') !== base64)
      throw invalid('data_base64 is base64 (RFC 4648 §4).');
    return Buffer.from(base64, 'base64');
  }
  if (!(data instanceof RawJson)) return Buffer.alloc(0);
  // §3.1.1: under a type that is not JSON, a string is the text itself.
  const isJson = type === undefined || /[/+]json\s*(?:;|$)/i.test(type);
  return Buffer.from(!isJson && data.text.startsWith('"') ? (JSON.parse(data.text) as string) : data.text);
}

/** HTTP binding §3.1: attributes are header fields, percent-encoded where they are not ASCII. */
function binary(headers: Fields, type: string | undefined, body: Buffer): PublishDraft {
  const attributes = new Map<string, string>();
  for (const [field, given] of Object.entries(headers)) {
    if (!field.startsWith(cloudEventHeaderPrefix) || typeof given !== 'string') continue;
    attributes.set(field.slice(cloudEventHeaderPrefix.length), percentDecode(field, given));
  }
  return draftOf(attributes, body, type ?? 'application/octet-stream');
}

function draftOf(attributes: ReadonlyMap<string, string>, payload: Buffer, type: string): PublishDraft {
  for (const name of required)
    if ((attributes.get(name) ?? '') === '') throw invalid(`A CloudEvent has the attribute ${name}.`);
  if (attributes.get('specversion') !== '1.0') throw invalid('specversion is 1.0.');
  const headers = new Map<string, string>();
  for (const [name, value] of attributes) {
    if (!attributeName.test(name)) throw invalid('Names of attributes are lower-case letters and digits.');
    if (name !== 'specversion' && name !== 'type' && name !== 'datacontenttype')
      headers.set(cloudEventHeaderPrefix + name, value);
  }
  const event = attributes.get('type')!;
  return {
    payload,
    type,
    headers,
    event: event === plainEventType ? undefined : event,
    key: keyOf(attributes.get('source')!, attributes.get('id')!),
  };
}

/** Source and id together name an event for ever (§3.1), so they are a publish id: a producer may simply send again. */
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
