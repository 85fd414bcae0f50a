import type { Envelope } from '@everywire/protocol';
import type { BroadcastFlags, BroadcastOptions } from 'socket.io-adapter';
import type { Place } from './names.ts';
import { adapterLimits } from './options.ts';

/** An event on its way to sockets: name and arguments, and which sockets. */
export interface Packet {
  readonly event: unknown;
  readonly args: readonly unknown[];
  readonly rooms: readonly unknown[];
  readonly except: readonly unknown[];
  readonly isVolatile: boolean;
  /** `false` when the sender asked for no compression. */
  readonly compress: boolean | undefined;
}

/** A message to publish: JSON text or any bytes, with event and header. */
export interface Publication {
  readonly payload: string | Uint8Array;
  readonly event: string | undefined;
  readonly meta: string | undefined;
}

/** The header for the parts of a Socket.IO packet that payload and event cannot express. */
export const metaHeader = 'socket.io';

type Path = readonly (string | number)[];

interface Meta {
  /** The payload is the array of arguments. Without this member, the payload is the only argument. */
  args?: 'list';
  except?: readonly unknown[];
  volatile?: true;
  compress?: false;
  /** Where the payload contains base64 in place of bytes. */
  binary?: readonly Path[];
  /** The event is delivered from `~packets`. This message is for readers of the room on other transports. */
  copy?: true;
}

/** Names that Socket.IO reserves: an event with such a name ends the connection of the client that receives it. */
const reservedEvents = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
]);
const eventBytesMax = 255;
const metaBytesMax = 6 * 1024;
const control = /[\u0000-\u001f\u007f-\u009f]/;

/** The packet as a message for one channel; `undefined` when only `encodeWhole` can express it. */
export function encodePlain(packet: Packet): Publication | undefined {
  const { event, args, except, isVolatile, compress } = packet;
  if (typeof event !== 'string' || !isLabel(event)) return undefined;
  const meta: Meta = {};
  if (except.length > 0) meta.except = except;
  if (isVolatile) meta.volatile = true;
  if (compress === false) meta.compress = false;
  const [only] = args;
  if (args.length === 1 && isBytes(only)) return finish(bytesOf(only), event, meta);
  // JSON has no undefined; in a list it becomes null, as on Socket.IO's own wire.
  const isList =
    args.length !== 1 || only === undefined || typeof only === 'function' || typeof only === 'symbol';
  if (isList) meta.args = 'list';
  const { text, paths } = toJson(isList ? args : only);
  if (paths.length > 0) meta.binary = paths;
  return finish(text, event, meta);
}

/** A copy for readers of a room, when the packet itself is delivered from `~packets`. */
export function encodeCopy(packet: Packet): Publication | undefined {
  const plain = encodePlain({ ...packet, except: [], isVolatile: false, compress: undefined });
  if (plain === undefined) return undefined;
  const meta = plain.meta === undefined ? {} : (JSON.parse(plain.meta) as Meta);
  return { ...plain, meta: metaText({ ...meta, copy: true }) };
}

interface Whole {
  readonly event: unknown;
  readonly args: readonly unknown[];
  readonly rooms: readonly unknown[];
  readonly except: readonly unknown[];
  readonly volatile: boolean;
  readonly compress: boolean | null;
}

/** The whole packet as a payload, for `~packets`. */
export function encodeWhole(packet: Packet): string {
  const { event, args, rooms, except, isVolatile, compress } = packet;
  const whole: Whole = { event, args, rooms, except, volatile: isVolatile, compress: compress ?? null };
  return encodeValue(whole);
}

/** Any value as JSON, bytes included. */
export function encodeValue(value: unknown): string {
  const { text, paths } = toJson(value);
  return paths.length === 0 ? `{"value":${text}}` : `{"binary":${JSON.stringify(paths)},"value":${text}}`;
}

/** @throws TypeError for data that `encodeValue` does not make */
export function decodeValue(data: unknown): unknown {
  if (data === null || typeof data !== 'object' || !('value' in data)) throw new TypeError('not a value');
  return 'binary' in data ? putBytesBack(data.value, data.binary) : data.value;
}

/** The packet in a message of `~packets`. @throws TypeError when it is not a packet */
export function decodeWhole(data: unknown): Packet {
  const whole = decodeValue(data) as Whole | null;
  const isWhole =
    whole !== null &&
    typeof whole === 'object' &&
    [whole.args, whole.rooms, whole.except].every((list) => Array.isArray(list));
  if (!isWhole) throw new TypeError('not a packet');
  return {
    event: wireEvent(whole.event),
    args: whole.args,
    rooms: whole.rooms,
    except: whole.except,
    isVolatile: whole.volatile,
    compress: whole.compress ?? undefined,
  };
}

/**
 * The packet in a message of a room's channel. Any client may have published it: a message without the adapter's header is
 * an event with one argument. `undefined` for a copy. @throws TypeError when the adapter did not write the header
 */
export function decodePlain(message: Envelope, rooms: readonly unknown[]): Packet | undefined {
  const given = message.headers?.[metaHeader];
  const meta = given === undefined ? {} : (JSON.parse(given) as Meta | null);
  if (meta === null || typeof meta !== 'object') throw new TypeError('not a header of the adapter');
  if (meta.copy === true) return undefined;
  const payload = message.base64 === undefined ? message.data : Buffer.from(message.base64, 'base64');
  const value = meta.binary === undefined ? payload : putBytesBack(payload, meta.binary);
  const isList = meta.args === 'list' && Array.isArray(value);
  return {
    event: wireEvent(message.event ?? 'message'),
    args: isList ? (value as readonly unknown[]) : [value],
    rooms,
    except: Array.isArray(meta.except) ? meta.except : [],
    isVolatile: meta.volatile === true,
    compress: meta.compress,
  };
}

/** The packet in a message of any channel; `undefined` when it is not for sockets. @throws TypeError as the others do */
export function decodePacket(message: Envelope, place: Place | undefined): Packet | undefined {
  switch (place?.kind) {
    case 'packets':
      return decodeWhole(message.data);
    case 'all':
      return decodePlain(message, []);
    case 'room':
      return decodePlain(message, [place.room]);
    case 'cluster':
    case undefined:
      return undefined;
  }
}

export function packetOf(data: readonly unknown[], options: BroadcastOptions): Packet {
  const [event, ...args] = data;
  return {
    event,
    args,
    rooms: [...options.rooms],
    except: [...(options.except ?? [])],
    isVolatile: options.flags?.volatile === true,
    compress: options.flags?.compress,
  };
}

/** The options with which `socket.io` broadcasts the packet. */
export function optionsOf(packet: Packet): BroadcastOptions & { except: Set<string>; flags: BroadcastFlags } {
  const flags: BroadcastFlags = {};
  if (packet.isVolatile) flags.volatile = true;
  if (packet.compress !== undefined) flags.compress = packet.compress;
  return { rooms: new Set(packet.rooms as string[]), except: new Set(packet.except as string[]), flags };
}

/** Whether the packet is for a socket in `rooms`. */
export function isFor(packet: Packet, rooms: { has(room: unknown): boolean }): boolean {
  if (packet.except.some((room) => rooms.has(room))) return false;
  return packet.rooms.length === 0 || packet.rooms.some((room) => rooms.has(room));
}

function wireEvent(event: unknown): unknown {
  const isFine = typeof event === 'number' || (typeof event === 'string' && !reservedEvents.has(event));
  return isFine ? event : 'message';
}

function isLabel(event: string): boolean {
  return (
    event !== '' && event.isWellFormed() && !control.test(event) && Buffer.byteLength(event) <= eventBytesMax
  );
}

function metaText(meta: Meta): string | undefined {
  const text = JSON.stringify(meta);
  // JSON does not escape DEL and the C1 controls, and a header's value cannot contain them.
  return text === '{}'
    ? undefined
    : text.replace(/[\u007f-\u009f]/g, (one) => `\\u00${one.charCodeAt(0).toString(16)}`);
}

function finish(payload: string | Uint8Array, event: string, meta: Meta): Publication | undefined {
  const text = metaText(meta);
  if (text !== undefined && Buffer.byteLength(text) > metaBytesMax) return undefined;
  return { payload, event, meta: text };
}

function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

function bytesOf(value: ArrayBuffer | ArrayBufferView): Buffer {
  return value instanceof ArrayBuffer
    ? Buffer.from(value)
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** JSON with base64 in place of bytes, and the paths to them. @throws TypeError for values that JSON cannot express */
function toJson(value: unknown): { readonly text: string; readonly paths: readonly Path[] } {
  const paths: Path[] = [];
  const text = JSON.stringify(hasBytes(value) ? takeBytesOut(value, [], paths) : value);
  return { text, paths };
}

function hasBytes(value: unknown): boolean {
  if (value === null || typeof value !== 'object') return false;
  if (isBytes(value)) return true;
  if (Array.isArray(value)) return value.some(hasBytes);
  if (hasToJson(value)) return hasBytes(value.toJSON());
  return Object.values(value).some(hasBytes);
}

function takeBytesOut(value: unknown, path: Path, paths: Path[]): unknown {
  if (value === null || typeof value !== 'object') return value;
  if (isBytes(value)) {
    paths.push(path);
    return bytesOf(value).toString('base64');
  }
  if (Array.isArray(value)) return value.map((one, at) => takeBytesOut(one, [...path, at], paths));
  if (hasToJson(value)) return takeBytesOut(value.toJSON(), path, paths);
  const entries = Object.entries(value).map(
    ([key, one]) => [key, takeBytesOut(one, [...path, key], paths)] as const,
  );
  return Object.fromEntries(entries);
}

function hasToJson(value: object): value is { toJSON(): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function';
}

function putBytesBack(value: unknown, paths: unknown): unknown {
  const root = { value };
  for (const path of Array.isArray(paths) ? (paths as unknown[]) : []) {
    if (!Array.isArray(path)) throw new TypeError('a path is an array');
    let holder: Record<string, unknown> = root;
    let key = 'value';
    for (const step of path as unknown[]) {
      const next = Object.hasOwn(holder, key) ? holder[key] : undefined;
      if (next === null || typeof next !== 'object') throw new TypeError('a path leads nowhere');
      holder = next as Record<string, unknown>;
      key = String(step);
    }
    const text = Object.hasOwn(holder, key) ? holder[key] : undefined;
    if (typeof text !== 'string') throw new TypeError('a path leads nowhere');
    holder[key] = Buffer.from(text, 'base64');
  }
  return root.value;
}

/**
 * Whether a command can contain the JSON unchanged. The server's parser of commands bounds nesting and refuses half a
 * surrogate pair; payloads in base64 are only checked to be JSON.
 */
export function fitsCommand(json: string): boolean {
  if (/\\ud[89a-f]/i.test(json)) return false;
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let at = 0; at < json.length; at += 1) {
    const unit = json.charCodeAt(at);
    if (isInString) {
      if (unit === 0x5c) at += 1;
      else if (unit === 0x22) isInString = false;
    } else if (unit === 0x22) isInString = true;
    else if (unit === 0x5b || unit === 0x7b) deepest = Math.max(deepest, (depth += 1));
    else if (unit === 0x5d || unit === 0x7d) depth -= 1;
  }
  return deepest <= adapterLimits.jsonDepthMax;
}
