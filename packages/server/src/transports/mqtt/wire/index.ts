/**
 * The wire of MQTT 3.1, 3.1.1 and 5: bytes ⇄ packets ⇄ messages. Pure; it never saw a socket.
 *
 *   reader.ts          bytes → packets or a fault, in any portions
 *   encode.ts          packets → bytes
 *   messages.ts        what a PUBLISH or a will says ⇄ drafts and messages
 *   publish-format.ts  messages → bytes that many subscribers share
 */
import type { Encoded, WireFormat } from '../../../core/batch.ts';
import type { Message } from '../../../core/message.ts';
import type { PublishDraft } from '../../../core/transport.ts';
import type {
  MqttFault,
  ClientPacket,
  Packet,
  Publish,
  PublishProperties,
  Qos,
  ServerPacket,
  Version,
  Will,
} from './packets.ts';

export * from './packets.ts';
export * from './reason-codes.ts';

/** Signatures to build on; the implementations replace these declarations one by one. */

export interface PacketReaderOptions {
  /** Largest packet, fixed header included; before it is known who the peer is, 16 KiB. */
  readonly packetBytesMax: number;
}

/**
 * `push(chunk)`, then `next()` until it answers undefined: more bytes are needed. A fault is answered once, then
 * nothing: what is behind it is never read. The chunk must not change; payloads are parts of it or of a copy.
 */
export declare class PacketReader<Received extends Packet> {
  /** Read when the length of a packet arrives, before anything is kept: raise it once the CONNECT was accepted. */
  packetBytesMax: number;
  /** Of the CONNECT, once that has been read. */
  readonly version: Version | undefined;
  push(chunk: Buffer): void;
  next(): Received | MqttFault | undefined;
  /** Bytes kept of a packet that is not whole. */
  readonly pendingBytes: number;
}

/** Reads what clients send: a CONNECT first and once, then by its version. */
export declare function serverReader(options: PacketReaderOptions): PacketReader<ClientPacket>;
/** Reads what a server sends to a client of `version`. */
export declare function clientReader(
  version: Version,
  options: PacketReaderOptions,
): PacketReader<ServerPacket>;

/**
 * The bytes of a packet. `packetBytesMax` is the peer's: reason string, then user properties are left out where that
 * makes it fit (§3.1.2.11.4); a packet that is still larger is `undefined` and must not be sent [MQTT-3.1.2-24].
 */
export declare function encodePacket(
  packet: Packet,
  version: Version,
  packetBytesMax?: number,
): Buffer | undefined;

export interface PublishFormatOptions {
  readonly version: Version;
  /** WebSocket: each packet is a binary frame of its own, so that slices are whole frames. */
  readonly link: 'tcp' | 'websocket';
  /** What was granted; a message goes out at the lower of this and its own (`deliveryQos`). */
  readonly qos: Qos;
  /** `as-published`: the message's own flag; `set`: a retained message at SUBSCRIBE. */
  readonly retain: 'clear' | 'as-published' | 'set';
  /** Redelivery: DUP is set where the QoS is above 0. */
  readonly dup: boolean;
  /** User properties `cursor` and `offset`. MQTT 5 only. */
  readonly withCursor: boolean;
  /** Ascending. MQTT 5 only. */
  readonly subscriptionIdentifiers: readonly number[];
  /**
   * The time as remaining lifetimes are counted, for batches with `mayExpire`; give `undefined` for all others, so that
   * their bytes are shared for longer. A part of the id is the second.
   */
  readonly nowMs: number | undefined;
}

/**
 * Messages → PUBLISH packets. `slots` has the place of the packet id of each message that goes out above QoS 0, in
 * order. Keep what it returns: the same options give the same id.
 */
export declare function publishFormat(options: PublishFormatOptions): WireFormat;
/** A copy with `packetIds` in the slots: one for each, in order. */
export declare function fillPacketIds(encoded: Encoded, packetIds: readonly number[]): Buffer;
/** The bytes of the `index`-th message's packet, without a frame header: what a peer's maximum packet size is about. */
export declare function packetBytes(encoded: Encoded, index: number, link: 'tcp' | 'websocket'): number;

/** At which QoS `message` goes to a subscription that was granted `granted`. Messages of other transports count as 2. */
export declare function deliveryQos(message: Message, granted: Qos): Qos;
/** What a PUBLISH or a will says, for the hub. Keys are the caller's: `{ ...draftOf(publish), key }`. */
export declare function draftOf(from: Publish | Will): PublishDraft;
/** What a PUBLISH of `message` says in MQTT 5, remaining lifetime excepted. */
export declare function propertiesOf(message: Message): PublishProperties;
