import {
  EverywireError,
  shapeOfType,
  parseDurationMs,
  JsonFault,
  parseCursor,
  parseStrictJson,
  textType,
  type JsonValue,
} from '@everywire/protocol';
import { placeholderOf } from '@everywire/wires/socketio';
import type { SocketIoLimits } from './limits.ts';
import type { PublishDraft } from '../../core/seams/session-api.ts';

/** A command of a peer: an event with this name, then these arguments. */
export type Command =
  | {
      readonly op: 'subscribe';
      readonly filter: string;
      readonly after: string | undefined;
      readonly since: string | undefined;
    }
  | { readonly op: 'unsubscribe'; readonly filter: string }
  | { readonly op: 'publish'; readonly channel: string; readonly draft: PublishDraft }
  | { readonly op: 'auth'; readonly token: string };

interface Arguments {
  readonly name: string | number;
  readonly items: readonly string[];
  readonly attachments: readonly Buffer[];
}

/**
 * Reads an event as a command. JSON is published unchanged; an attachment as its bytes.
 * @throws EverywireError `unsupported` for other events, `malformed`, `invalid`
 */
export function readCommand(
  { name, items, attachments }: Arguments,
  limits: Pick<SocketIoLimits, 'jsonDepthMax'>,
): Command {
  const read = (at: number): JsonValue | undefined => parseItem(items[at], limits);
  switch (name) {
    case 'subscribe': {
      const filter = textOf(read(0), 'The filter');
      const options = optionsOf(read(1));
      return { op: name, filter, after: options.text('after'), since: options.text('since') };
    }
    case 'unsubscribe':
      return { op: name, filter: textOf(read(0), 'The filter') };
    case 'publish':
      return {
        op: name,
        channel: textOf(read(0), 'The channel'),
        draft: readDraft(items[1], optionsOf(read(2)), attachments, limits),
      };
    case 'auth':
      return { op: name, token: tokenOf(read(0)) };
    default:
      throw new EverywireError('unsupported', 'Unknown event; use subscribe, unsubscribe, publish or auth.');
  }
}

function readDraft(
  data: string | undefined,
  options: Options,
  attachments: readonly Buffer[],
  limits: Pick<SocketIoLimits, 'jsonDepthMax'>,
): PublishDraft {
  return {
    ...readPayload(data, options.text('type'), attachments, limits),
    event: options.text('event'),
    key: options.text('key'),
    headers: options.headers(),
    retain: options.flag('retain'),
    ttlMs: options.durationMs('ttl'),
  };
}

/** As in envelopes: `data` is JSON, or a string for a text type or none; binary data comes as an attachment. */
function readPayload(
  data: string | undefined,
  type: string | undefined,
  attachments: readonly Buffer[],
  limits: Pick<SocketIoLimits, 'jsonDepthMax'>,
): { readonly payload: Buffer; readonly type: string } {
  if (data === undefined) throw invalid('A publication must have data.');
  if (attachments.length > 0) {
    const num = placeholderOf(JSON.parse(data));
    if (typeof num === 'number' && attachments.length === 1) {
      return { payload: attachments[num]!, type: type ?? 'application/octet-stream' };
    }
    throw invalid('Binary data must be the whole payload; JSON cannot contain it.');
  }
  const value = parseItem(data, limits);
  if (type === undefined && typeof value === 'string') return { payload: Buffer.from(value), type: textType };
  if (type === undefined || shapeOfType(type) === 'json') {
    return { payload: Buffer.from(data), type: type ?? 'application/json' };
  }
  if (typeof value === 'string') return { payload: Buffer.from(value), type };
  throw invalid('data of a type that is not JSON must be a string or binary.');
}

function parseItem(
  item: string | undefined,
  { jsonDepthMax }: Pick<SocketIoLimits, 'jsonDepthMax'>,
): JsonValue | undefined {
  if (item === undefined) return undefined;
  const value = parseStrictJson(item, { depthMax: jsonDepthMax });
  if (value instanceof JsonFault) throw new EverywireError('malformed', value.detail);
  return value;
}

function textOf(value: JsonValue | undefined, what: string): string {
  if (typeof value === 'string') return value;
  throw invalid(`${what} must be a string.`);
}

/** The token itself, or an object with it, as `socket.io-client` sends its option `auth`. */
function tokenOf(value: JsonValue | undefined): string {
  return textOf(typeof value === 'object' ? optionsOf(value).text('token') : value, 'The token');
}

function optionsOf(value: JsonValue | undefined): Options {
  if (value === undefined || value === null) return new Options({});
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('The options must be an object.');
  return new Options(value as Readonly<Record<string, JsonValue>>);
}

class Options {
  readonly #members: Readonly<Record<string, JsonValue>>;

  constructor(members: Readonly<Record<string, JsonValue>>) {
    this.#members = members;
  }

  /** An undefined value of a JavaScript program may arrive as null. */
  #member(name: string): JsonValue | undefined {
    return this.#members[name] ?? undefined;
  }

  text(name: string): string | undefined {
    const value = this.#member(name);
    if (value === undefined || typeof value === 'string') return value;
    throw invalid(`${name} must be a string.`);
  }

  flag(name: string): boolean | undefined {
    const value = this.#member(name);
    if (value === undefined || typeof value === 'boolean') return value;
    throw invalid(`${name} must be true or false.`);
  }

  durationMs(name: string): number | undefined {
    const value = this.#member(name);
    if (value === undefined) return undefined;
    const durationMs =
      typeof value === 'string' || typeof value === 'number' ? parseDurationMs(String(value)) : undefined;
    if (durationMs === undefined) throw invalid(`${name} must be seconds, or a length of time such as "5m".`);
    return durationMs;
  }

  headers(): ReadonlyMap<string, string> | undefined {
    const value = this.#member('headers');
    if (value === undefined) return undefined;
    const entries = typeof value === 'object' && !Array.isArray(value) ? Object.entries(value!) : undefined;
    if (entries?.every(([, text]) => typeof text === 'string') !== true) {
      throw invalid('headers must be an object of strings.');
    }
    return new Map(entries as [string, string][]);
  }
}

function invalid(detail: string): EverywireError {
  return new EverywireError('invalid', detail);
}

/** Whether `text` is a cursor of this server. */
export function isCursor(text: unknown): text is string {
  return typeof text === 'string' && parseCursor(text) !== undefined;
}
