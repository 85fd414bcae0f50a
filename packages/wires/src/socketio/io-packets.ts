import { itemsOfArray } from './json-items.ts';

/** Packets of Socket.IO 5 (its protocol document, "Packet encoding"), as text and attachments. */

export const packetTypes = {
  connect: 0,
  disconnect: 1,
  event: 2,
  ack: 3,
  connectError: 4,
  binaryEvent: 5,
  binaryAck: 6,
} as const;

export interface IoPacket {
  readonly kind: 'connect' | 'disconnect' | 'event' | 'ack';
  readonly ioNamespace: string;
  /** The id of the requested or given acknowledgement. */
  readonly id: number | undefined;
  /** In a CONNECT: its JSON object as text, or `undefined`. */
  readonly auth: string | undefined;
  /** In an EVENT or ACK: the items of its array as raw text. */
  readonly items: readonly string[];
  /** How many attachments follow. */
  readonly attachments: number;
}

/** A packet of a server. CONNECT_ERROR has its content in `auth`, as CONNECT has the session id. */
export interface ServerIoPacket extends Omit<IoPacket, 'kind'> {
  readonly kind: IoPacket['kind'] | 'connectError';
}

/** The text is not a packet that this peer may send: close the connection. */
export class IoFault {
  readonly detail: string;

  constructor(detail: string) {
    this.detail = detail;
  }
}

export interface IoLimits {
  readonly attachmentsMax: number;
  readonly jsonDepthMax: number;
  readonly nameBytesMax: number;
}

/** Names that `socket.io-client` and the server library use themselves: an event with such a name breaks clients. */
export const reservedEvents: ReadonlySet<string> = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'error',
  'newListener',
  'removeListener',
]);

const kinds = ['connect', 'disconnect', 'event', 'ack', 'connectError', 'event', 'ack'] as const;
const idDigitsMax = 15;

/** Reads the text of a client's packet. Counts the attachments, and does not wait for them. */
export function parseIoPacket(text: string, limits: IoLimits): IoPacket | IoFault {
  // The first argument ensures that a client may send it.
  return parseFrom('client', text, limits) as IoPacket | IoFault;
}

/** Reads the text of a server's packet. Counts the attachments, and does not wait for them. */
export function parseServerIoPacket(text: string, limits: IoLimits): ServerIoPacket | IoFault {
  return parseFrom('server', text, limits);
}

function parseFrom(sender: 'client' | 'server', text: string, limits: IoLimits): ServerIoPacket | IoFault {
  const type = text.charCodeAt(0) - 0x30;
  const kind = kinds[type];
  if (kind === undefined || (kind === 'connectError' && sender === 'client')) {
    return new IoFault('unknown packet type');
  }
  let at = 1;
  let attachments = 0;
  if (type === packetTypes.binaryEvent || type === packetTypes.binaryAck) {
    const dash = text.indexOf('-', 1);
    const count = dash < 0 ? '' : text.slice(1, dash);
    if (!/^[1-9]\d{0,3}$/.test(count)) return new IoFault('illegal attachments');
    attachments = Number(count);
    if (attachments > limits.attachmentsMax) return new IoFault('too many attachments');
    at = dash + 1;
  }
  let ioNamespace = '/';
  if (text[at] === '/') {
    const comma = text.indexOf(',', at);
    const end = comma < 0 ? text.length : comma;
    // A client may add a query, which is not part of the name.
    ioNamespace = text.slice(at, end).split('?', 1)[0]!;
    if (Buffer.byteLength(ioNamespace) > limits.nameBytesMax) return new IoFault('namespace too long');
    at = end + 1;
  }
  // An acknowledgement without a question is ignored, also if its number is invalid.
  if (kind === 'ack' && text[at] === '-') at += 1;
  const idAt = at;
  while (at < text.length && isDigit(text.charCodeAt(at))) at += 1;
  const digits = text.slice(idAt, at);
  // A number beyond the exact range cannot be repeated in an answer, so it counts as absent.
  const id = digits === '' || digits.length > idDigitsMax ? undefined : Number(digits);
  const payload = text.slice(at);
  const packet = { kind, ioNamespace, id, attachments };
  switch (kind) {
    case 'connect':
    case 'connectError':
      return payload === '' || isObject(payload, limits)
        ? { ...packet, auth: payload === '' ? undefined : payload, items: [] }
        : new IoFault('invalid payload');
    case 'disconnect':
      return payload === '' ? { ...packet, auth: undefined, items: [] } : new IoFault('invalid payload');
    case 'event':
    case 'ack': {
      const items = isJson(payload) ? itemsOfArray(payload, limits.jsonDepthMax) : undefined;
      if (items === undefined) return new IoFault('invalid payload');
      const fault =
        checkPlaceholders(payload, attachments) ?? (kind === 'event' ? checkName(items, sender) : undefined);
      return fault ?? { ...packet, auth: undefined, items };
    }
  }
}

/** An EVENT begins with its name: a number or a string. A client must not use names of the libraries. */
function checkName(items: readonly string[], sender: 'client' | 'server'): IoFault | undefined {
  const [first] = items;
  if (first === undefined) return new IoFault('invalid payload');
  const name: unknown = JSON.parse(first);
  if (typeof name === 'number') return undefined;
  const isFree = sender === 'server' || !reservedEvents.has(name as string);
  return typeof name === 'string' && isFree ? undefined : new IoFault('invalid payload');
}

/** Each attachment has its placeholder, and each placeholder its own attachment. */
function checkPlaceholders(payload: string, attachments: number): IoFault | undefined {
  if (attachments === 0) return undefined;
  const places: unknown[] = [];
  JSON.parse(payload, (_name, value: unknown) => {
    const num = placeholderOf(value);
    if (num !== undefined) places.push(num);
    return value;
  });
  const seen = new Set(places);
  const isSound =
    seen.size === places.length &&
    places.every((num) => Number.isInteger(num) && Number(num) >= 0 && Number(num) < attachments);
  return isSound && seen.size === attachments ? undefined : new IoFault('illegal attachments');
}

/** The number of the attachment whose placeholder `value` is; `undefined` for other values. */
export function placeholderOf(value: unknown): unknown {
  if (value === null || typeof value !== 'object') return undefined;
  const { _placeholder, num } = value as { readonly _placeholder?: unknown; readonly num?: unknown };
  return _placeholder === true ? (num ?? Number.NaN) : undefined;
}

/** The value of an item, with attachments instead of placeholders. */
export function valueOfItem(item: string, attachments: readonly Buffer[]): unknown {
  if (attachments.length === 0) return JSON.parse(item);
  return JSON.parse(item, (_name, value: unknown) => {
    const num = placeholderOf(value);
    return typeof num === 'number' ? attachments[num] : value;
  });
}

/** The placeholder of the attachment of that number, as JSON text. */
export function placeholderItem(num: number): string {
  return `{"_placeholder":true,"num":${num}}`;
}

/** The prefix of packets in a namespace: empty for the main one. */
export function prefixOf(ioNamespace: string): string {
  return ioNamespace === '/' ? '' : `${ioNamespace},`;
}

/** A client's CONNECT. */
export function connectPacket(ioNamespace: string, auth?: object): string {
  return `0${prefixOf(ioNamespace)}${auth === undefined ? '' : JSON.stringify(auth)}`;
}

export function connectedPacket(ioNamespace: string, answer: object): string {
  return `0${prefixOf(ioNamespace)}${JSON.stringify(answer)}`;
}

export function connectErrorPacket(ioNamespace: string, message: string, data?: object): string {
  return `4${prefixOf(ioNamespace)}${JSON.stringify({ message, ...(data === undefined ? {} : { data }) })}`;
}

export function disconnectPacket(ioNamespace: string): string {
  return `1${prefixOf(ioNamespace)}`;
}

/** An acknowledgement. `items` are JSON texts, with placeholders for the `attachments`, which follow the packet. */
export function ackPacket(
  ioNamespace: string,
  id: number,
  items: readonly string[],
  attachments = 0,
): string {
  const type = typeOf(packetTypes.ack, packetTypes.binaryAck, attachments);
  return `${type}${prefixOf(ioNamespace)}${id}[${items.join(',')}]`;
}

export interface EventOptions {
  /** Asks for an acknowledgement with this number. */
  readonly id?: number | undefined;
  /** How many attachments follow the packet; each has its placeholder in the items. */
  readonly attachments?: number | undefined;
}

/** An event. `items` are JSON texts, the name of the event first. */
export function eventPacket(
  ioNamespace: string,
  items: readonly string[],
  { id, attachments = 0 }: EventOptions = {},
): string {
  const type = typeOf(packetTypes.event, packetTypes.binaryEvent, attachments);
  return `${type}${prefixOf(ioNamespace)}${id ?? ''}[${items.join(',')}]`;
}

function typeOf(plain: number, binary: number, attachments: number): string {
  return attachments === 0 ? String(plain) : `${binary}${attachments}-`;
}

function isObject(text: string, { jsonDepthMax }: IoLimits): boolean {
  if (!isJson(text) || !text.startsWith('{')) return false;
  // Checks the depth of an object as an item of an array.
  return itemsOfArray(`[${text}]`, jsonDepthMax + 1) !== undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function isDigit(unit: number): boolean {
  return unit >= 0x30 && unit <= 0x39;
}
