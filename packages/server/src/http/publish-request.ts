import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { EverywireError, shapeOfType, parseDurationMs, RawJson, textType } from '@everywire/protocol';
import type { PublishDraft, PublishEntry } from '../core/seams/session-api.ts';

const metaPrefix = 'everywire-meta-';
/** Fields that may occur only once: Node joins repeated ones with a comma, and the meaning would be unclear. */
const single: ReadonlySet<string> = new Set([
  'everywire-event',
  'everywire-retain',
  'everywire-ttl',
  'idempotency-key',
]);

/**
 * Makes a draft of `POST /channels/<name>`: the body is the payload, and header fields are the rest.
 * @throws EverywireError `malformed` for a field that is not UTF-8 or occurs twice, `invalid` (400) for a bad value
 */
export function draftOfRequest(
  request: Pick<IncomingMessage, 'headers' | 'rawHeaders'>,
  payload: Buffer,
): PublishDraft {
  const fields = new Map<string, string>();
  const headers = new Map<string, string>();
  const { rawHeaders } = request;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]!.toLowerCase();
    const isMeta = name.startsWith(metaPrefix) && name.length > metaPrefix.length;
    if (!isMeta && !single.has(name)) continue;
    const value = utf8Of(name, rawHeaders[at + 1]!);
    const known = isMeta ? headers : fields;
    const key = isMeta ? name.slice(metaPrefix.length) : name;
    if (known.has(key)) throw new EverywireError('malformed', `The request has ${name} more than once.`);
    known.set(key, value);
  }
  return {
    payload,
    ...typeOfField(request.headers['content-type'], payload),
    event: fields.get('everywire-event'),
    headers,
    key: fields.get('idempotency-key'),
    retain: booleanOf(fields.get('everywire-retain')),
    ttlMs: ttlOf(fields.get('everywire-ttl'), '/everywire-ttl', 400),
  };
}

/** `curl -d` sends this type by default, so it means nothing if the payload is not a form. */
const formType = /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i;
/** Names and values in percent encoding (WHATWG URL §5.2). */
const formShape = /^[\w.*+%-]+=[\w.*+%-]*(?:&[\w.*+%-]+=[\w.*+%-]*)*$/;

function typeOfField(type: string | undefined, payload: Buffer): Pick<PublishDraft, 'type' | 'untoldType'> {
  if (type === undefined || !formType.test(type)) return { type };
  return { untoldType: formShape.test(payload.toString('latin1')) ? type : undefined };
}

/** A string is text, other JSON is JSON; base64 is bytes. */
function typeOfData(data: RawJson | undefined): string {
  if (data === undefined) return 'application/octet-stream';
  return data.text.startsWith('"') ? textType : 'application/json';
}

/** One entry of `POST /publish`, in the form of its schema. */
export interface PublishBody {
  readonly channel: string;
  /** The source text of any JSON value. */
  readonly data?: RawJson;
  readonly base64?: string;
  readonly type?: string;
  readonly event?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: string;
  readonly retain?: boolean;
  readonly ttl?: string | number;
}

/** Makes a draft of one entry. @throws EverywireError `invalid` with a pointer to the fault in the entry at index `at` */
export function entryOfBody(body: PublishBody, at: number): PublishEntry {
  const { data, base64 } = body;
  if ((data === undefined) === (base64 === undefined)) {
    throw invalid('An entry must have either data or base64.', `/${at}`);
  }
  const type = body.type ?? typeOfData(data);
  return {
    channel: body.channel,
    draft: {
      payload: data === undefined ? bytesOf(base64!, at) : payloadOf(data, type),
      type,
      event: body.event,
      headers: body.headers === undefined ? undefined : new Map(Object.entries(body.headers)),
      key: body.key,
      retain: body.retain,
      ttlMs: ttlOf(body.ttl === undefined ? undefined : String(body.ttl), `/${at}/ttl`, 422),
    },
  };
}

/** JSON is stored unchanged. With any other type, a string is the text itself, as in an envelope. */
function payloadOf(data: RawJson, type: string): Buffer {
  const isText = shapeOfType(type) !== 'json' && data.text.startsWith('"');
  return Buffer.from(isText ? (JSON.parse(data.text) as string) : data.text);
}

function bytesOf(base64: string, at: number): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  // Node skips characters that are not base64; a payload that silently loses bytes is worse than a refusal.
  if (bytes.toString('base64').replace(/=+$/, '') === base64.replace(/=+$/, '')) return bytes;
  throw invalid('base64 is not valid (RFC 4648 §4, without line breaks).', `/${at}/base64`);
}

function utf8Of(name: string, latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  if (isUtf8(bytes)) return bytes.toString();
  throw new EverywireError('malformed', `The field ${name} is not UTF-8.`);
}

function booleanOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  const word = text.toLowerCase();
  if (word === 'true' || word === 'false') return word === 'true';
  throw new EverywireError('invalid', 'Everywire-Retain must be true or false.', { httpStatus: 400 });
}

function ttlOf(text: string | undefined, pointer: string, httpStatus: number): number | undefined {
  if (text === undefined) return undefined;
  const ttlMs = parseDurationMs(text);
  if (ttlMs !== undefined) return ttlMs;
  throw new EverywireError('invalid', 'ttl must be a length of time such as 60s.', {
    httpStatus,
    pointers: [pointer],
  });
}

function invalid(detail: string, pointer: string): EverywireError {
  return new EverywireError('invalid', detail, { pointers: [pointer] });
}
