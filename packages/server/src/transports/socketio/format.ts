import { type EverywireError, gapNotice, formatTime } from '@everywire/protocol';
import { frame, opcodes, textFrames } from '@everywire/wires/websocket';
import { base64Packet, separator, prefixOf, reservedEvents } from '@everywire/wires/socketio';
import { shapeOf } from '../../core/log/media.ts';
import { concatenate, concatenateText, type Encoded, type WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Published } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';

/** What messages look like to the sockets of one namespace: one encoding for all that have a WebSocket, one for all that poll. */
export interface Deliveries {
  readonly websocket: WireFormat;
  readonly polling: WireFormat;
}

/** The event of a message that names none, or one that clients keep for themselves. */
export const eventDefault = 'message';
/** Names of what the server itself has to say. */
const ownEventPrefix = 'everywire.';
const placeholder = '{"_placeholder":true,"num":0}';

export function deliveriesOf(ioNamespace: string): Deliveries {
  return formatsOf(ioNamespace, { prefix: prefixOf(ioNamespace), place: undefined });
}

/**
 * What a group brings, to a peer that is at `place` otherwise, and stays there: the clients' last string is where they come
 * back to, so it must not be the place of a message that has no part in that.
 */
export function deliveriesAt(ioNamespace: string, place: string): Deliveries {
  return formatsOf(`${place}:${ioNamespace}`, { prefix: prefixOf(ioNamespace), place });
}

/** What all packets of a format have in common. */
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
 * The message as the packets of an event: `(data, meta, cursor)`. The cursor is last in every event, because that is where
 * `socket.io-client` looks for the place to recover from, and would find a string of the user otherwise.
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
  // Nothing is no JSON, and is stored as such where it takes a retained message away.
  const data = shape === 'text' ? JSON.stringify(payload) : payload === '' ? 'null' : payload;
  return { text: `42${prefix}[${JSON.stringify(name)},${data},${rest}`, attachment: undefined };
}

/** python-socketio calls its handler for all other events by the first of these, and ends its client at the second. */
const pythonEvents: ReadonlySet<string> = new Set(['*', '__disconnect_final']);

/** Whether an event of that name would be taken for one of the client library or of this server. */
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

/** Of several gaps, which only a filter can have, the answer names the first. */
export function subscribedItem(subscription: Subscription): string {
  const [gap] = subscription.startGaps;
  return (
    `{"ok":true,"cursor":"${subscription.startCursor}",` +
    (gap === undefined
      ? '"continuity":"exact"}'
      : `"continuity":"gap","gap":${JSON.stringify(gapNotice(gap))}}`)
  );
}

/** The answer to a subscription that was there already. */
export function continuedItem(cursor: string): string {
  return `{"ok":true,"cursor":"${cursor}","continuity":"exact"}`;
}

export function refusedItem(error: EverywireError): string {
  return `{"ok":false,"error":${errorJson(error)}}`;
}

/** Events of the server's own; a cursor is put behind them. */
export function gapItems(gap: Gap): readonly string[] {
  return ['"everywire.gap"', JSON.stringify(gapNotice(gap))];
}

/** A command that was refused and asked for no acknowledgement; with the event that it was, if it was one. */
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
