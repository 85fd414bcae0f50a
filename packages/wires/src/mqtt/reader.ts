import { levelOf, type Level } from './decode-connect.ts';
import { checkFirstByte, decodePacket, type Sender } from './decode.ts';
import { fault, rule } from './fault.ts';
import { Fields } from './fields.ts';
import { OversizeReader } from './oversize.ts';
import type { ClientPacket, MqttFault, Packet, ServerPacket, Version } from './packets.ts';

export interface PacketReaderOptions {
  /** Largest packet, fixed header included. Before the peer is authenticated: `unauthenticatedBytesMax`. */
  readonly packetBytesMax: number;
}

const publishType = 3;

const rules = {
  tooLarge: rule('3.1.4-1', '3.1.4-1'),
  varint: rule('1.5.5-1', '§2.2.3'),
  version: rule('3.1.2-2', '3.1.2-2'),
};

/** A reader for packets of clients: one CONNECT first, then packets of its version. */
export function serverReader(options: PacketReaderOptions): PacketReader<ClientPacket> {
  return new PacketReader('client', undefined, options);
}

/** A reader for packets of a server to a client of `version`. */
export function clientReader(version: Version, options: PacketReaderOptions): PacketReader<ServerPacket> {
  return new PacketReader('server', version, options);
}

/**
 * Bytes → packets, in chunks of any size. `push(chunk)`, then `next()` until it returns undefined: more bytes are needed.
 * After a fault, `next()` returns only undefined: the reader never reads the bytes behind a fault.
 *
 * A payload shares memory with the chunk, or with the copy of a packet that came in several chunks. So the caller must not
 * change a chunk.
 */
export class PacketReader<Received extends Packet = Packet> {
  /** Used when the length of a packet arrives, before any byte is kept. Raise it once the CONNECT is accepted. */
  packetBytesMax: number;
  readonly #from: Sender;
  #version: Version | undefined;
  /** The chunk with unread bytes, from `#at` on. */
  #chunk: Buffer | undefined;
  #at = 0;
  /** The start of an incomplete packet, in a buffer that may have free space. */
  #partial: Buffer | undefined;
  #partialBytes = 0;
  /** Bytes of that packet, header included; 0 until its length is known. */
  #packetBytes = 0;
  /** A packet that is too large and is read to its end all the same. */
  #oversize: OversizeReader | undefined;
  #isBroken = false;

  constructor(from: Sender, version: Version | undefined, { packetBytesMax }: PacketReaderOptions) {
    this.packetBytesMax = packetBytesMax;
    this.#from = from;
    this.#version = version;
  }

  /** The version of the CONNECT, once it was read. */
  get version(): Version | undefined {
    return this.#version;
  }

  /** The number of kept bytes of an incomplete packet. */
  get pendingBytes(): number {
    return this.#partialBytes + (this.#chunk === undefined ? 0 : this.#chunk.length - this.#at);
  }

  push(chunk: Buffer): void {
    if (this.#isBroken || chunk.length === 0) return;
    const before = this.#chunk;
    // A caller that leaves packets unread for back-pressure has paused its socket as well.
    this.#chunk = before === undefined ? chunk : Buffer.concat([before.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** A client's PUBLISH before MQTT 5 that is too large comes without its payload: a fault could not tell that client why. */
  next(): Received | MqttFault | undefined {
    if (this.#isBroken) return undefined;
    const result =
      this.#oversize !== undefined
        ? this.#pass()
        : this.#partial === undefined
          ? this.#fromChunk()
          : this.#fromPartial();
    if (result?.type === 'fault') this.#break();
    else if (result?.type === 'connect') this.#version = result.version;
    // The check of the first byte ensures that this side may send the packet.
    return result as Received | MqttFault | undefined;
  }

  #fromChunk(): Packet | MqttFault | undefined {
    const chunk = this.#chunk;
    if (chunk === undefined) return undefined;
    const from = this.#at;
    const bytes = this.#readHeader(chunk, from, chunk.length);
    if (typeof bytes === 'object') return bytes;
    if (bytes !== undefined && bytes > this.packetBytesMax) {
      this.#oversize = new OversizeReader(bytes);
      return this.#pass();
    }
    if (bytes === undefined || from + bytes > chunk.length) {
      this.#keep(chunk, from, bytes ?? 0);
      return undefined;
    }
    this.#at = from + bytes;
    if (this.#at === chunk.length) this.#chunk = undefined;
    return this.#decode(chunk, from, from + bytes);
  }

  /** Continues a packet whose first bytes came in an earlier chunk. */
  #fromPartial(): Packet | MqttFault | undefined {
    if (this.#packetBytes === 0) {
      const known = this.#completeHeader();
      if (known !== true) return known;
      if (this.#packetBytes > this.packetBytesMax) {
        this.#oversize = new OversizeReader(this.#packetBytes);
        this.#oversize.take(this.#partial!.subarray(0, this.#partialBytes));
        this.#dropPartial();
        return this.#pass();
      }
    }
    this.#take(this.#packetBytes - this.#partialBytes);
    if (this.#partialBytes < this.#packetBytes) return undefined;
    const packet = this.#partial!;
    const end = this.#packetBytes;
    this.#dropPartial();
    return this.#decode(packet, 0, end);
  }

  #dropPartial(): void {
    this.#partial = undefined;
    this.#partialBytes = 0;
    this.#packetBytes = 0;
  }

  /** Goes through a packet that is too large, of which only the beginning is kept. */
  #pass(): Packet | MqttFault | undefined {
    const chunk = this.#chunk;
    const oversize = this.#oversize!;
    if (chunk === undefined) return undefined;
    this.#at += oversize.take(chunk.subarray(this.#at));
    if (this.#at === chunk.length) {
      this.#chunk = undefined;
      this.#at = 0;
    }
    if (oversize.bytesLeft > 0) return undefined;
    this.#oversize = undefined;
    const head = oversize.withoutPayload();
    const packet = this.#decode(head, 0, head.length);
    if (packet.type !== 'publish') return packet;
    return { ...packet, oversizeBytes: oversize.packetBytes };
  }

  /** Reads the header byte by byte; it has at most five bytes. True once the length is known. */
  #completeHeader(): true | MqttFault | undefined {
    while (this.#chunk !== undefined) {
      this.#take(1);
      const bytes = this.#readHeader(this.#partial!, 0, this.#partialBytes);
      if (typeof bytes === 'object') return bytes;
      if (bytes !== undefined) {
        this.#packetBytes = bytes;
        return true;
      }
    }
    return undefined;
  }

  /** The length of the packet at `from`; undefined until it is known. Keeps no bytes. */
  #readHeader(bytes: Buffer, from: number, end: number): number | MqttFault | undefined {
    const broken = checkFirstByte(bytes[from]!, this.#from, this.#version);
    if (broken !== undefined) return broken;
    let length = 0;
    for (let index = 0; index < 4; index += 1) {
      const at = from + 1 + index;
      if (at >= end) return undefined;
      const byte = bytes[at]!;
      length += (byte & 0x7f) << (7 * index);
      if (byte < 0x80) {
        if (byte === 0 && index > 0 && this.#version === 5) return this.#notMinimal();
        const packetBytes = 2 + index + length;
        return packetBytes > this.packetBytesMax && !this.#mayPass(bytes[from]!)
          ? this.#tooLarge(bytes.subarray(at + 1, end))
          : packetBytes;
      }
    }
    const detail = 'The remaining length has more than four bytes.';
    return fault({ kind: 'malformed', rule: rules.varint, version: this.#version, detail });
  }

  /** Only MQTT 5 requires the shortest form, so the check of a CONNECT waits until its version is known. */
  #notMinimal(): MqttFault {
    const detail = 'The remaining length is longer than needed.';
    return fault({ kind: 'malformed', rule: rules.varint, version: 5, detail });
  }

  /** It has no reason codes, and its client sends the same again when it is cut for it [MQTT-4.4.0-1]. */
  #mayPass(firstByte: number): boolean {
    const isOld = this.#version !== undefined && this.#version !== 5;
    return isOld && this.#from === 'client' && firstByte >> 4 === publishType;
  }

  /** The version of the answer is in the first bytes of a CONNECT: until they came, `undefined`. */
  #tooLarge(beginning: Buffer): MqttFault | undefined {
    const isConnect = this.#from === 'client' && this.#version === undefined;
    const level = isConnect ? readConnectLevel(beginning) : 'none';
    if (level === undefined) return undefined;
    const detail = `A packet has at most ${this.packetBytesMax} bytes${isConnect ? ' before the connection is accepted' : ''}.`;
    const tooLarge = this.#version === undefined ? rules.tooLarge : largerThanAnnounced;
    const refusal = fault({ kind: 'too_large', rule: tooLarge, version: this.#version, detail });
    if (level === 'none') return refusal;
    const { version, connackVersion } = level;
    return version === undefined
      ? {
          ...fault({
            kind: 'version',
            rule: rules.version,
            version,
            detail: 'The protocol version is not supported.',
          }),
          connackVersion,
        }
      : { ...refusal, connackVersion: version };
  }

  #decode(bytes: Buffer, from: number, end: number): Packet | MqttFault {
    let at = from + 1;
    while (bytes[at]! >= 0x80) at += 1;
    const packet = decodePacket(bytes[from]!, new Fields(bytes, at + 1, end, this.#version), this.#from);
    if (packet.type === 'connect' && packet.version === 5 && at > from + 1 && bytes[at] === 0) {
      return { ...this.#notMinimal(), connackVersion: 5 };
    }
    return packet;
  }

  /** Copies the rest of the chunk, which may be a small part of a large buffer. */
  #keep(chunk: Buffer, from: number, packetBytes: number): void {
    const bytes = chunk.length - from;
    this.#partial = Buffer.alloc(roomFor(bytes, packetBytes));
    chunk.copy(this.#partial, 0, from);
    this.#partialBytes = bytes;
    this.#packetBytes = packetBytes;
    this.#chunk = undefined;
    this.#at = 0;
  }

  /** Moves up to `wanted` bytes from the chunk to the incomplete packet. */
  #take(wanted: number): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    const bytes = Math.min(wanted, chunk.length - this.#at);
    const needed = this.#partialBytes + bytes;
    if (needed > this.#partial!.length) {
      const larger = Buffer.alloc(roomFor(needed, this.#packetBytes));
      this.#partial!.copy(larger, 0, 0, this.#partialBytes);
      this.#partial = larger;
    }
    chunk.copy(this.#partial!, this.#partialBytes, this.#at, this.#at + bytes);
    this.#partialBytes = needed;
    this.#at += bytes;
    if (this.#at === chunk.length) {
      this.#chunk = undefined;
      this.#at = 0;
    }
  }

  #break(): void {
    this.#isBroken = true;
    this.#oversize = undefined;
    this.#chunk = undefined;
    this.#partial = undefined;
    this.#partialBytes = 0;
  }
}

const longestNameBytes = Buffer.byteLength('MQIsdp');

/** `undefined`: more bytes are needed. `none`: it is not MQTT. */
function readConnectLevel(bytes: Buffer): Level | 'none' | undefined {
  if (bytes.length < 2) return undefined;
  const nameBytes = bytes.readUInt16BE(0);
  if (nameBytes > longestNameBytes) return 'none';
  const level = bytes[2 + nameBytes];
  return level === undefined
    ? undefined
    : (levelOf(bytes.toString('latin1', 2, 2 + nameBytes), level) ?? 'none');
}

const largerThanAnnounced = rule('3.2.2-15', '§2.2.3');

/**
 * The capacity doubles with the received bytes. So a packet in many chunks is copied at most twice, and a peer that
 * announces much and sends little uses at most twice the memory of its bytes.
 */
function roomFor(bytes: number, packetBytes: number): number {
  const room = Math.max(64, 2 * bytes);
  return packetBytes === 0 ? Math.max(bytes, 8) : Math.min(room, packetBytes);
}
