import { type EverywireError, gapNotice, formatTime } from '@everywire/protocol';
import { frame, opcodes, textFrames } from '@everywire/wires/websocket';
import { base64Packet, separator, prefixOf, reservedEvents } from '@everywire/wires/socketio';
import { shapeOf } from '../../core/log/media.ts';
import { concatenate, concatenateText, type Encoded, type WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Published } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';

/** The formats of messages for the sockets of one namespace: one encoding for all WebSockets, and one for all that poll. */
export interface Deliveries {
  readonly websocket: WireFormat;
  readonly polling: WireFormat;
}

/** The event name of a message without one, or with one that client libraries reserve. */
export const eventDefault = 'message';
/** The prefix of events of the server itself. */
const ownEventPrefix = 'everywire.';
const placeholder = '{"_placeholder":true,"num":0}';

export function deliveriesOf(ioNamespace: string): Deliveries {
  return formatsOf(ioNamespace, { prefix: prefixOf(ioNamespace), place: undefined });
}

/**
 * The format for messages of a group, for a peer at the position `place`. The position does not move: clients come back
 * with the last string, so it must not be the cursor of a message of a group.
 */
export function deliveriesAt(ioNamespace: string, place: string): Deliveries {
  return formatsOf(`${place}:${ioNamespace}`, { prefix: prefixOf(ioNamespace), place });
}

/** The common parts of all packets of a format. */
interface Around {
  readonly prefix: string;
  /** The cursor to send as the last argument; absent: the message's own cursor. */
  readonly place: string | undefined;
}

function formatsOf(id: string, around: Around): Deliveries {
  return {
    websocket: { id: `socketio:websocket:${id}`, encode: (messages) => encodeFrames(messages, around) },
    polling: { id: `socketio:polling:${id}`, encode: (messages) => encodePackets(messages, around) },
  };
}

/**
 * The message as the packets of an event: `(data, meta, cursor)`. The cursor is last in every event, because
 * `socket.io-client` recovers with the last argument if it is a string, and would take a string of the user otherwise.
 */
function packetOf(
  message: Message,
  { prefix, place = message.cursor }: Around,
): { readonly text: string; readonly attachment: Buffer | undefined } {
  const shape = shapeOf(message);
  const { event } = message;
  const name = event === undefined || isKept(event) ? eventDefault : event;
  const rest = `${metaJson(message)},"${place}"]`;
  if (shape === 'binary') {
    return {
      text: `451-${prefix}[${JSON.stringify(name)},${placeholder},${rest}`,
      attachment: message.payload,
    };
  }
  const payload = message.payload.toString();
  // An empty payload is not JSON, and is stored if it removes a retained message.
  const data = shape === 'text' ? JSON.stringify(payload) : payload === '' ? 'null' : payload;
  return { text: `42${prefix}[${JSON.stringify(name)},${data},${rest}`, attachment: undefined };
}

/** python-socketio uses the first name for its handler of all other events, and the second one ends its client. */
const pythonEvents: ReadonlySet<string> = new Set(['*', '__disconnect_final']);

/** Whether the client library or this server uses an event of that name itself. */
function isKept(event: string): boolean {
  return reservedEvents.has(event) || pythonEvents.has(event) || event.startsWith(ownEventPrefix);
}

/** The envelope without the payload. */
function metaJson(message: Message): string {
  const { event, headers, from } = message;
  return (
    `{"channel":${JSON.stringify(message.channel)},"offset":${message.offset},"cursor":"${message.cursor}",` +
    `"id":${JSON.stringify(message.id)},"time":"${formatTime(message.timeMs)}",` +
    (event === undefined ? '' : `"event":${JSON.stringify(event)},`) +
    `"type":${JSON.stringify(message.type)}` +
    (headers === undefined || headers.size === 0
      ? ''
      : `,"headers":${JSON.stringify(Object.fromEntries(headers))}`) +
    (from === undefined ? '}' : `,"from":${JSON.stringify(from)}}`)
  );
}

function encodeFrames(messages: readonly Message[], around: Around): Encoded {
  const packets = messages.map((message) => packetOf(message, around));
  if (packets.every(({ attachment }) => attachment === undefined)) {
    return { slots: [], ...textFrames(packets.map(({ text }) => text)) };
  }
  return concatenate(
    packets.map(({ text, attachment }) => {
      const first = textFrames([text]).bytes;
      return attachment === undefined ? first : Buffer.concat([first, frame(opcodes.binary, attachment)]);
    }),
  );
}

/** Packets that each end in the separator; the answer to a poll leaves out the last separator. */
function encodePackets(messages: readonly Message[], around: Around): Encoded {
  return concatenateText(
    messages.map((message) => {
      const { text, attachment } = packetOf(message, around);
      return attachment === undefined
        ? text + separator
        : text + separator + base64Packet(attachment) + separator;
    }),
  );
}

/** Answers to commands, as the one argument of their acknowledgement. */
export const okItem = '{"ok":true}';

export function publishedItem(published: Published): string {
  return (
    `{"ok":true,"offset":${published.offset},"cursor":"${published.cursor}",` +
    `"id":${JSON.stringify(published.id)}${published.duplicate ? ',"duplicate":true' : ''}}`
  );
}

/** A filter can have several gaps: the answer names the first one. */
export function subscribedItem(subscription: Subscription): string {
  const [gap] = subscription.startGaps;
  return (
    `{"ok":true,"cursor":"${subscription.startCursor}",` +
    (gap === undefined
      ? '"continuity":"exact"}'
      : `"continuity":"gap","gap":${JSON.stringify(gapNotice(gap))}}`)
  );
}

/** The answer for an existing subscription. */
export function continuedItem(cursor: string): string {
  return `{"ok":true,"cursor":"${cursor}","continuity":"exact"}`;
}

export function refusedItem(error: EverywireError): string {
  return `{"ok":false,"error":${errorJson(error)}}`;
}

/** Events of the server; the sender adds a cursor as the last argument. */
export function gapItems(gap: Gap): readonly string[] {
  return ['"everywire.gap"', JSON.stringify(gapNotice(gap))];
}

/** The event for a refused command without an acknowledgement; with the event name of the command, if known. */
export function errorItems(error: EverywireError, event?: string | number): readonly string[] {
  const detail = event === undefined ? [] : [JSON.stringify({ event })];
  return ['"everywire.error"', errorJson(error), ...detail];
}

/** A subscription that ended by itself. */
export function endedItems(filter: string, error: EverywireError | undefined): readonly string[] {
  return [
    '"everywire.ended"',
    JSON.stringify({ channel: filter }),
    error === undefined ? 'null' : errorJson(error),
  ];
}

function errorJson({ code, message, retryAfterMs }: EverywireError): string {
  return JSON.stringify({ code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
}
