import type { Encoded, WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import { headerLength, opcodes, writeHeader } from '@everywire/wires/websocket';
import { deliveryQos, propertiesOf, withPlace } from './convert.ts';
import {
  type PublishProperties,
  type Qos,
  type Version,
  noProperties,
  propertiesBytes,
  writeProperties,
  varintBytes,
  writeVarint,
} from '@everywire/wires/mqtt';

export type LinkKind = 'tcp' | 'websocket';

export interface PublishFormatOptions {
  readonly version: Version;
  /** WebSocket: each packet is a separate binary frame, so that slices are whole frames. */
  readonly link: LinkKind;
  /** The granted QoS; a message is delivered at the lower of this and its own QoS (`deliveryQos`). */
  readonly qos: Qos;
  /** `as-published`: the message's own flag; `set`: a retained message at SUBSCRIBE. */
  readonly retain: 'clear' | 'as-published' | 'set';
  /** Redelivery: DUP is set if the QoS is above 0. */
  readonly dup: boolean;
  /** User properties `cursor` and `offset`, and `everywire-id`. MQTT 5 only. */
  readonly withCursor: boolean;
  /** Ascending. MQTT 5 only. */
  readonly subscriptionIdentifiers: readonly number[];
  /**
   * The present time, from which remaining lifetimes are computed, for batches with `mayExpire`. Undefined for all
   * others, whose bytes then do not depend on the time. Its second is part of the id.
   */
  readonly nowMs: number | undefined;
}

/**
 * Messages → PUBLISH packets. `slots` has the position of the packet id of each message above QoS 0, in order; `ends`
 * the end of each packet. The same options give the same id: keep the result while the options are the same.
 */
export function publishFormat(options: PublishFormatOptions): WireFormat {
  return { id: idOf(options), encode: (messages) => encode(messages, options) };
}

/** A copy with `packetIds` in the slots: one for each, in order. */
export function fillPacketIds({ bytes, slots }: Encoded, packetIds: readonly number[]): Buffer {
  const filled = Buffer.allocUnsafe(bytes.length);
  bytes.copy(filled);
  for (let index = 0; index < slots.length; index += 1) {
    const at = slots[index]!;
    const packetId = packetIds[index]!;
    filled[at] = packetId >> 8;
    filled[at + 1] = packetId & 0xff;
  }
  return filled;
}

/** The size of the packet of the `index`-th message without its frame, for the peer's maximum packet size. */
export function packetBytes({ ends }: Encoded, index: number, link: LinkKind): number {
  const bytes = ends![index]! - (ends![index - 1] ?? 0);
  if (link === 'tcp') return bytes;
  return bytes - (bytes < 128 ? 2 : bytes < 0x1_0004 ? 4 : 10);
}

function idOf(options: PublishFormatOptions): string {
  const { version, link, qos, retain, dup, withCursor, subscriptionIdentifiers, nowMs } = options;
  // Options that an older version does not have do not change its bytes.
  const own =
    version === 5
      ? `:${withCursor ? 'cursor' : ''}:${subscriptionIdentifiers.join()}:` +
        (nowMs === undefined ? '' : String(Math.floor(nowMs / 1000)))
      : '';
  const flags = `${qos}${retain[0]!}${dup && qos > 0 ? 'd' : ''}`;
  return `mqtt:${version === 5 ? 5 : 4}:${link === 'tcp' ? 't' : 'w'}:${flags}${own}`;
}

interface Piece {
  readonly message: Message;
  readonly topicBytes: number;
  readonly qos: Qos;
  readonly properties: PublishProperties;
  readonly propertiesBytes: number;
  /** The remaining length. */
  readonly length: number;
}

function encode(messages: readonly Message[], options: PublishFormatOptions): Encoded {
  let total = 0;
  const ends: number[] = [];
  const pieces = messages.map((message) => {
    const piece = measure(message, options);
    const packet = 1 + varintBytes(piece.length) + piece.length;
    total += packet + (options.link === 'websocket' ? headerLength(packet) : 0);
    ends.push(total);
    return piece;
  });
  const bytes = Buffer.allocUnsafe(total);
  const slots: number[] = [];
  let at = 0;
  for (const piece of pieces) at = write(bytes, at, piece, options, slots);
  return { bytes, slots, ends };
}

function measure(message: Message, options: PublishFormatOptions): Piece {
  const { version } = options;
  const qos = deliveryQos(message, options.qos);
  const topicBytes = Buffer.byteLength(message.channel);
  const properties = version === 5 ? allProperties(message, options) : noProperties;
  const own = version === 5 ? propertiesBytes(properties, 'publish') : 0;
  const length =
    2 +
    topicBytes +
    (qos > 0 ? 2 : 0) +
    (version === 5 ? varintBytes(own) + own : 0) +
    message.payload.length;
  return { message, topicBytes, qos, properties, propertiesBytes: own, length };
}

function allProperties(message: Message, options: PublishFormatOptions): PublishProperties {
  const { subscriptionIdentifiers, withCursor, nowMs } = options;
  const said = propertiesOf(message, nowMs);
  if (subscriptionIdentifiers.length === 0 && !withCursor) return said;
  return {
    ...said,
    ...(subscriptionIdentifiers.length === 0 ? {} : { subscriptionIdentifiers }),
    ...(withCursor ? { userProperties: withPlace(said.userProperties, message) } : {}),
  };
}

function write(
  bytes: Buffer,
  from: number,
  { message, topicBytes, qos, properties, propertiesBytes, length }: Piece,
  { version, link, retain, dup }: PublishFormatOptions,
  slots: number[],
): number {
  const packet = 1 + varintBytes(length) + length;
  let at = link === 'websocket' ? writeHeader(bytes, from, opcodes.binary, packet) : from;
  const isRetained = retain === 'set' || (retain === 'as-published' && message.retain);
  bytes[at] = 0x30 | (dup && qos > 0 ? 8 : 0) | (qos << 1) | (isRetained ? 1 : 0);
  at = writeVarint(bytes, at + 1, length);
  at = bytes.writeUInt16BE(topicBytes, at);
  at += bytes.write(message.channel, at);
  if (qos > 0) {
    slots.push(at);
    // A placeholder: a real packet id is above 0.
    at = bytes.writeUInt16BE(0, at);
  }
  if (version === 5)
    at = writeProperties(bytes, writeVarint(bytes, at, propertiesBytes), properties, 'publish');
  return at + message.payload.copy(bytes, at);
}
