import {
  EverywireError,
  shapeOfType,
  parseDurationMs,
  JsonFault,
  RawJson,
  type JsonObject,
} from '@everywire/protocol';
import type { HttpLimits } from '../../http/limits.ts';
import type { PublishDraft } from '../../core/seams/session-api.ts';
import { parseJsonBytes } from '../../http/json-bytes.ts';

/** What a client of `everywire.v1` asks for. `id` is its JSON text as it came, to be given back like that. */
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
      readonly draft: PublishDraft;
    }
  | { readonly op: 'unsubscribe'; readonly id: string; readonly channel: string }
  | { readonly op: 'auth'; readonly id: string; readonly token: string }
  | { readonly op: 'ping'; readonly id: string };

/** A frame that is no command; with the id, if it had one. */
export interface BadCommand {
  readonly op: 'bad';
  readonly id: string | undefined;
  readonly error: EverywireError;
}

const idLengthMax = 255;
/** `data` is spliced into payloads as it was written, and `id` into answers: re-encoding would change numbers. */
const rawMembers = new Set(['id', 'data']);
const isRaw = (name: string, depth: number): boolean => depth === 1 && rawMembers.has(name);
const base64Shape = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Reads one text frame of a client. Members that no command has are ignored, so that newer clients can be served. */
export function parseCommand(text: Buffer, limits: Pick<HttpLimits, 'jsonDepthMax'>): Command | BadCommand {
  const value = parseJsonBytes(text, { depthMax: limits.jsonDepthMax, isRaw });
  if (value instanceof JsonFault) return bad(undefined, 'malformed', value.detail);
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof RawJson) {
    return bad(undefined, 'invalid', 'A command is a JSON object.');
  }
  const members = value as JsonObject;
  const id = readId(members);
  if (id === undefined)
    return bad(undefined, 'invalid', 'A command has an id, which is a number or a string.');
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
      return { op, id, channel: fields.text('channel'), draft: readDraft(fields) };
    case 'unsubscribe':
      return { op, id, channel: fields.text('channel') };
    case 'auth':
      return { op, id, token: fields.text('token') };
    case 'ping':
      return { op, id };
    default:
      if (fields.fault !== undefined) return bad(id, 'invalid', fields.fault);
      return bad(id, 'unsupported', 'op is one of subscribe, publish, unsubscribe, auth, ping.');
  }
}

function readDraft(fields: Fields): PublishDraft {
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

/** The mirror image of an envelope: `data` is JSON or, for other types, a string; `base64` is any bytes. */
function readPayload(fields: Fields, type: string | undefined): { payload: Buffer; type: string } {
  const data = fields.raw('data');
  const base64 = fields.optionalText('base64');
  if ((data === undefined) === (base64 === undefined)) {
    fields.fail('A publication has either data or base64.');
  } else if (base64 !== undefined) {
    if (!base64Shape.test(base64)) fields.fail('base64 is not base64 (RFC 4648 §4).');
    return { payload: Buffer.from(base64, 'base64'), type: type ?? 'application/octet-stream' };
  } else if (type === undefined || shapeOfType(type) === 'json') {
    return { payload: Buffer.from(data!), type: type ?? 'application/json' };
  } else if (data!.startsWith('"')) {
    return { payload: Buffer.from(JSON.parse(data!) as string), type };
  } else {
    fields.fail('data of a type that is not JSON is a string.');
  }
  return { payload: Buffer.alloc(0), type: type ?? 'application/json' };
}

function readId(members: JsonObject): string | undefined {
  const id = members['id'];
  if (!(id instanceof RawJson) || id.text.length > idLengthMax) return undefined;
  return /^["\d-]/.test(id.text) ? id.text : undefined;
}

/** The members of a command; the first that has a wrong shape is kept as the fault. */
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
    this.fail(`${name} is a string.`);
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
    this.fail(`${name} is true or false.`);
    return undefined;
  }

  durationMs(name: string): number | undefined {
    const value = this.#members[name];
    if (value === undefined) return undefined;
    const durationMs =
      typeof value === 'string' || typeof value === 'number' ? parseDurationMs(String(value)) : undefined;
    if (durationMs === undefined) this.fail(`${name} is seconds, or a length of time such as "5m".`);
    return durationMs;
  }

  headers(): ReadonlyMap<string, string> | undefined {
    const value = this.#members['headers'];
    if (value === undefined) return undefined;
    const entries = value !== null && typeof value === 'object' ? Object.entries(value) : [];
    const isObject = value !== null && typeof value === 'object' && !Array.isArray(value);
    if (!isObject || !entries.every(([, text]) => typeof text === 'string')) {
      this.fail('headers is an object of strings.');
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
