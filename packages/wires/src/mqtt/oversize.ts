import { varintBytes, writeVarint } from './varint.ts';

const fixedHeaderBytesMax = 5;
const lengthBytes = 2;
const packetIdBytes = 2;

const nothing = Buffer.alloc(0);

/** Reads an oversized PUBLISH of MQTT 3.1 or 3.1.1 to its end, and keeps only its topic and its packet id. */
export class OversizeReader {
  readonly packetBytes: number;
  #bytesLeft: number;
  #head: Buffer = nothing;

  constructor(packetBytes: number) {
    this.packetBytes = packetBytes;
    this.#bytesLeft = packetBytes;
  }

  get bytesLeft(): number {
    return this.#bytesLeft;
  }

  /** Takes the bytes of the packet from the chunk; returns how many. */
  take(chunk: Buffer): number {
    const bytes = Math.min(chunk.length, this.#bytesLeft);
    this.#bytesLeft -= bytes;
    let at = 0;
    while (at < bytes && this.#head.length < this.#headBytes) {
      const wanted = Math.min(this.#headBytes - this.#head.length, bytes - at);
      this.#head = Buffer.concat([this.#head, chunk.subarray(at, at + wanted)]);
      at += wanted;
    }
    return bytes;
  }

  /** The packet with an empty payload. */
  withoutPayload(): Buffer {
    const rest = this.#head.subarray(this.#fixedHeaderBytes);
    const packet = Buffer.alloc(1 + varintBytes(rest.length) + rest.length, this.#head.subarray(0, 1));
    rest.copy(packet, writeVarint(packet, 1, rest.length));
    return packet;
  }

  /** The known size of the head; until the lengths have come, one byte more than has arrived. */
  get #headBytes(): number {
    const fixed = this.#fixedHeaderBytes;
    const head = this.#head;
    if (head.length < fixed + lengthBytes) return fixed + lengthBytes;
    const hasPacketId = (head[0]! & 0x06) !== 0;
    return fixed + lengthBytes + head.readUInt16BE(fixed) + (hasPacketId ? packetIdBytes : 0);
  }

  get #fixedHeaderBytes(): number {
    const head = this.#head;
    for (let at = 1; at < fixedHeaderBytesMax; at += 1) {
      const byte = head[at];
      if (byte === undefined || byte < 0x80) return at + 1;
    }
    return fixedHeaderBytesMax;
  }
}
