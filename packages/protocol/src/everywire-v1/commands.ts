import { isBase64 } from '../base64.ts';
import { EverywireError } from '../errors.ts';
import { shapeOfType, textType } from '../media.ts';
import { parseDurationMs } from '../since.ts';
import { JsonFault, parseStrictJson, RawJson, type JsonObject } from '../strict-json.ts';

/** Commands of an `everywire.v1` client, each a text frame of JSON. */

/** `id` is the JSON text of a number or a string. The answer repeats it unchanged. */
export type Command =
  | {
      readonly op: 'subscribe';
      readonly id: string;
      readonly channel: string;
      readonly after: string | undefined;
      readonly since: string | undefined;
    }
  | {
      readonly op: 'publish';
      readonly id: string;
      readonly channel: string;
      readonly publication: Publication;
    }
  | { readonly op: 'unsubscribe'; readonly id: string; readonly channel: string }
  | { readonly op: 'auth'; readonly id: string; readonly token: string }
  | { readonly op: 'ping'; readonly id: string };

export interface Publication {
  readonly payload: CommandPayload;
  readonly type: string;
  readonly event?: string | undefined;
  readonly headers?: ReadonlyMap<string, string> | undefined;
  /** The publish id: the same id on the same channel is stored once. */
  readonly key?: string | undefined;
  readonly retain?: boolean | undefined;
  readonly ttlMs?: number | undefined;
}

/** The payload in a command, as in an envelope: raw JSON, text, or any bytes. */
export type CommandPayload =
  | { readonly kind: 'json'; readonly text: string }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'base64'; readonly base64: string };

/** A frame that is not a valid command; with the id, if it had one. */
export interface BadCommand {
  readonly op: 'bad';
  readonly id: string | undefined;
  readonly error: EverywireError;
}

const jsonType = 'application/json';
const bytesType = 'application/octet-stream';

export function writeCommand(command: Command): string {
  const { id, ...members } = command;
  const head = `{"id":${id},`;
  if (members.op !== 'publish') return head + JSON.stringify(members).slice(1);
  const { op, channel, publication } = members;
  const { payload, type, event, headers, key, retain, ttlMs } = publication;
  const isString = payload.kind === 'json' && payload.text.trimStart().startsWith('"');
  const defaultType = payload.kind === 'base64' ? bytesType : payload.kind === 'json' ? jsonType : textType;
  const isDefault = type === defaultType && !isString;
  const fields = {
    op,
    channel,
    key,
    event,
    ttl: ttlMs === undefined ? undefined : `${ttlMs}ms`,
    retain,
    headers: headers === undefined ? undefined : Object.fromEntries(headers),
    type: isDefault ? undefined : type,
  };
  return `${head}${JSON.stringify(fields).slice(1, -1)},${payloadMember(payload)}}`;
}

function payloadMember(payload: CommandPayload): string {
  if (payload.kind === 'base64') return `"base64":"${payload.base64}"`;
  return `"data":${payload.kind === 'json' ? payload.text : JSON.stringify(payload.text)}`;
}

const idLengthMax = 255;
/**
 * `data` is copied unchanged into payloads, and `id` into answers: to parse and write them again would change large
 * numbers.
 */
const rawMembers = new Set(['id', 'data']);
const isRaw = (name: string, depth: number): boolean => depth === 1 && rawMembers.has(name);

/** Reads one text frame of a client. Ignores unknown members, so that newer clients work. */
export function parseCommand(text: string, limits: { readonly jsonDepthMax: number }): Command | BadCommand {
  const value = parseStrictJson(text, { depthMax: limits.jsonDepthMax, isRaw });
  if (value instanceof JsonFault) return bad(undefined, 'malformed', value.detail);
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof RawJson) {
    return bad(undefined, 'invalid', 'A command must be a JSON object.');
  }
  const members = value as JsonObject;
  const id = readId(members);
  if (id === undefined)
    return bad(undefined, 'invalid', 'A command must have an id, which is a number or a string.');
  const fields = new Fields(members);
  const command = readCommand(id, fields);
  return fields.fault === undefined ? command : bad(id, 'invalid', fields.fault);
}

function readCommand(id: string, fields: Fields): Command | BadCommand {
  const op = fields.text('op');
  switch (op) {
    case 'subscribe':
      return {
        op,
        id,
        channel: fields.text('channel'),
        after: fields.optionalText('after'),
        since: fields.optionalText('since'),
      };
    case 'publish':
      return { op, id, channel: fields.text('channel'), publication: readPublication(fields) };
    case 'unsubscribe':
      return { op, id, channel: fields.text('channel') };
    case 'auth':
      return { op, id, token: fields.text('token') };
    case 'ping':
      return { op, id };
    default:
      if (fields.fault !== undefined) return bad(id, 'invalid', fields.fault);
      return bad(id, 'unsupported', 'op must be one of subscribe, publish, unsubscribe, auth, ping.');
  }
}

function readPublication(fields: Fields): Publication {
  const type = fields.optionalText('type');
  return {
    ...readPayload(fields, type),
    event: fields.optionalText('event'),
    headers: fields.headers(),
    key: fields.optionalText('key'),
    retain: fields.flag('retain'),
    ttlMs: fields.durationMs('ttl'),
  };
}

/** `data` is JSON, or for other types a string; a string without a type is text. `base64` is any bytes. */
function readPayload(fields: Fields, type: string | undefined): Pick<Publication, 'payload' | 'type'> {
  const data = fields.raw('data');
  const base64 = fields.optionalText('base64');
  if ((data === undefined) === (base64 === undefined)) {
    fields.fail('A publication must have either data or base64.');
  } else if (base64 !== undefined) {
    if (!isBase64(base64)) fields.fail('base64 is not valid (RFC 4648 §4).');
    return { payload: { kind: 'base64', base64 }, type: type ?? bytesType };
  } else if (type === undefined && data!.startsWith('"')) {
    return { payload: { kind: 'text', text: JSON.parse(data!) as string }, type: textType };
  } else if (type === undefined || shapeOfType(type) === 'json') {
    return { payload: { kind: 'json', text: data! }, type: type ?? jsonType };
  } else if (data!.startsWith('"')) {
    return { payload: { kind: 'text', text: JSON.parse(data!) as string }, type };
  } else {
    fields.fail('data of a type that is not JSON must be a string.');
  }
  return { payload: { kind: 'text', text: '' }, type: type ?? jsonType };
}

function readId(members: JsonObject): string | undefined {
  const id = members['id'];
  if (!(id instanceof RawJson) || id.text.length > idLengthMax) return undefined;
  return /^["\d-]/.test(id.text) ? id.text : undefined;
}

/** The members of a command. The first invalid one is kept as the fault. */
class Fields {
  readonly #members: JsonObject;
  fault: string | undefined;

  constructor(members: JsonObject) {
    this.#members = members;
  }

  fail(fault: string): void {
    this.fault ??= fault;
  }

  text(name: string): string {
    const value = this.#members[name];
    if (typeof value === 'string') return value;
    this.fail(`${name} must be a string.`);
    return '';
  }

  optionalText(name: string): string | undefined {
    return this.#members[name] === undefined ? undefined : this.text(name);
  }

  raw(name: string): string | undefined {
    const value = this.#members[name];
    return value instanceof RawJson ? value.text : undefined;
  }

  flag(name: string): boolean | undefined {
    const value = this.#members[name];
    if (value === undefined || typeof value === 'boolean') return value;
    this.fail(`${name} must be true or false.`);
    return undefined;
  }

  durationMs(name: string): number | undefined {
    const value = this.#members[name];
    if (value === undefined) return undefined;
    const durationMs =
      typeof value === 'string' || typeof value === 'number' ? parseDurationMs(String(value)) : undefined;
    if (durationMs === undefined) this.fail(`${name} must be seconds, or a length of time such as "5m".`);
    return durationMs;
  }

  headers(): ReadonlyMap<string, string> | undefined {
    const value = this.#members['headers'];
    if (value === undefined) return undefined;
    const entries = value !== null && typeof value === 'object' ? Object.entries(value) : [];
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
    if (!isObject || !entries.every(([, text]) => typeof text === 'string')) {
      this.fail('headers must be an object of strings.');
      return undefined;
    }
    return new Map(entries as [string, string][]);
  }
}

function bad(
  id: string | undefined,
  code: 'malformed' | 'invalid' | 'unsupported',
  detail: string,
): BadCommand {
  return { op: 'bad', id, error: new EverywireError(code, detail) };
}
