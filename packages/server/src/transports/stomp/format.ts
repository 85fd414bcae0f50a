import { frame, opcodes } from '@everywire/wires/websocket';
import { headerLine, type Headers, type Version, isReserved } from '@everywire/wires/stomp';
import { shapeOf } from '../../core/log/media.ts';
import { concatenate, type Encoded, type WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';

/** How to write channel names for one subscriber: `put` replaces the leading `strip`. */
export interface Spelling {
  readonly strip: string;
  readonly put: string;
}

/** All options that change the bytes of a MESSAGE. */
export interface MessageShape {
  readonly version: Version;
  readonly link: 'tcp' | 'websocket';
  readonly spelling: Spelling;
  /** The subscription's id; `undefined` for a subscription of 1.0 without one. */
  readonly id: string | undefined;
  /** In 1.2 the header `ack` has the value that ACK must repeat. */
  readonly hasAck: boolean;
  readonly isRedelivery: boolean;
}

/**
 * The value that ACK and NACK of 1.2 repeat: the cursor and the subscription, since two subscriptions of one connection
 * may get the same message.
 */
export function ackId(cursor: string, subscriptionId: string): string {
  return `${cursor}/${subscriptionId}`;
}

export function parseAckId(text: string): { readonly cursor: string; readonly id: string } | undefined {
  const slash = text.indexOf('/');
  return slash < 0 ? undefined : { cursor: text.slice(0, slash), id: text.slice(slash + 1) };
}

/** MESSAGE frames for all subscribers with the same `shape`. */
export function messageFormat(shape: MessageShape): WireFormat {
  const rest = restFormat(shape);
  return {
    id: [rest.id, shape.link, shape.hasAck ? 'ack' : '', shape.id === undefined ? '' : `=${shape.id}`].join(
      '\0',
    ),
    encode: (messages) => join(messages, rest.encode(messages), shape),
  };
}

/**
 * The same for one subscriber, from the bytes that all subscribers of its version share. For ids that are too many to
 * remember the bytes of each.
 */
export function encodeFor(batch: SharedBatch, shape: MessageShape): Buffer {
  return join(batch.messages, batch.as(restFormat(shape)), shape).bytes;
}

interface SharedBatch {
  readonly messages: readonly Message[];
  as(format: WireFormat): Encoded;
}

/** One MESSAGE with further headers, such as the gap before it. */
export function encodeOne(message: Message, shape: MessageShape, more: Headers): Buffer {
  let lines = '';
  for (const [name, value] of more) lines += headerLine(name, value, escapesFor(shape));
  const rest = encodeRest(message, shape);
  return packed(message, Buffer.concat([Buffer.from(firstLines(message, shape) + lines), rest]), shape);
}

/** The command and the headers that differ between subscribers. They come first, so that the rest is the same for all. */
function firstLines(message: Message, { id, version, hasAck }: MessageShape): string {
  if (id === undefined) return 'MESSAGE\n';
  const line = headerLine('subscription', id, version);
  return hasAck
    ? `MESSAGE\n${line}${headerLine('ack', ackId(message.cursor, id), version)}`
    : `MESSAGE\n${line}`;
}

function join(messages: readonly Message[], { bytes, ends }: Encoded, shape: MessageShape): Encoded {
  let from = 0;
  return concatenate(
    messages.map((message, at) => {
      const rest = bytes.subarray(from, (from = ends![at]!));
      return packed(message, Buffer.concat([Buffer.from(firstLines(message, shape)), rest]), shape);
    }),
  );
}

/** Over WebSocket a STOMP frame is a message: a text message if the body is text, so that browser clients need not guess. */
function packed(message: Message, bytes: Buffer, { link }: MessageShape): Buffer {
  if (link === 'tcp') return bytes;
  return frame(shapeOf(message) === 'binary' ? opcodes.binary : opcodes.text, bytes);
}

function restFormat(shape: MessageShape): WireFormat {
  const { version, spelling, isRedelivery } = shape;
  return {
    id: ['stomp', version, isRedelivery ? 'again' : '', spelling.put, spelling.strip].join('\0'),
    encode: (messages) => concatenate(messages.map((message) => encodeRest(message, shape))),
  };
}

const escapesFor = ({ version }: MessageShape): Version => version;

/** The rest after the first lines, with the NUL. */
function encodeRest(message: Message, shape: MessageShape): Buffer {
  const { version, spelling, isRedelivery } = shape;
  const { channel, event, headers, from, payload } = message;
  let head =
    headerLine('destination', spelling.put + channel.slice(spelling.strip.length), version) +
    `message-id:${message.cursor}\n` +
    headerLine('content-type', message.type, version) +
    `content-length:${payload.length}\noffset:${message.offset}\ntimestamp:${message.timeMs}\n` +
    `everywire-id:${message.id}\n`;
  if (event !== undefined) head += headerLine('event', event, version);
  if (isRedelivery) head += 'redelivered:true\n';
  if (from !== undefined) head += headerLine('everywire-from', from, version);
  if (headers !== undefined) {
    for (const [name, value] of headers) if (!isReserved(name)) head += headerLine(name, value, version);
  }
  const headBytes = Buffer.byteLength(head);
  const bytes = Buffer.allocUnsafe(headBytes + payload.length + 2);
  bytes.write(head, 0);
  bytes[headBytes] = 0x0a;
  payload.copy(bytes, headBytes + 1);
  bytes[bytes.length - 1] = 0;
  return bytes;
}
