import { EverywireError } from '@everywire/protocol';

/**
 * Length-prefixed messages, as gRPC, gRPC-Web and Connect all have them on streams: one byte of flags, four of length,
 * then the message.
 */
export const prefixBytes = 5;
/** Flags of a prefix. Which of the last two a stream ends with depends on its protocol. */
export const prefixFlags = { none: 0, compressed: 1, connectEnd: 2, webTrailers: 0x80 } as const;

export type PrefixFlags = (typeof prefixFlags)[keyof typeof prefixFlags];

/** The largest number of kept chunks; above it, the reader joins them. */
const chunksMax = 256;

/** A message of one stream, framed. */
export function frameMessage(message: Uint8Array, flags: PrefixFlags = prefixFlags.none): Buffer {
  const framed = Buffer.alloc(prefixBytes + message.length);
  framed[0] = flags;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, prefixBytes);
  return framed;
}

/** Reads messages from bytes in chunks of any size. Checks an announced length before it keeps any byte of the message. */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #endFlag: PrefixFlags;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #end: Buffer | undefined;

  /** `endFlag`: the last frame of the stream has it, as in gRPC-Web and Connect. gRPC has no such frame. */
  constructor(bytesMax: number, endFlag: PrefixFlags = prefixFlags.none) {
    this.#bytesMax = bytesMax;
    this.#endFlag = endFlag;
  }

  /** Whether a part of a message has come, but not all of it. */
  get isWithinMessage(): boolean {
    return this.#bytes > 0;
  }

  /** The content of the stream's last frame, once it has come. Nothing after it is read. */
  get end(): Buffer | undefined {
    return this.#end;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#end !== undefined) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    // Joins the chunks of a peer that sends single bytes: each chunk object would cost a hundred bytes.
    if (this.#chunks.length > chunksMax) this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)];
  }

  /**
   * The next whole message; `undefined` until there is one.
   * @throws EverywireError `too_large`, or `malformed` for flags that are not understood
   */
  next(): Buffer | undefined {
    if (this.#bytes < prefixBytes) return undefined;
    const prefix = this.#peek(prefixBytes);
    const flags = prefix[0]!;
    const isEnd = flags !== prefixFlags.none && flags === this.#endFlag;
    if (flags === prefixFlags.compressed) {
      // The gRPC protocol: a compressed message without a grpc-encoding that says how is an INTERNAL error.
      throw new EverywireError('internal', 'A message is compressed, but grpc-encoding is missing.');
    }
    if (flags !== prefixFlags.none && !isEnd)
      throw new EverywireError('internal', 'A message has unknown gRPC flags.');
    const length = prefix.readUInt32BE(1);
    if (length > this.#bytesMax)
      throw new EverywireError('too_large', `A message has at most ${this.#bytesMax} bytes here.`);
    if (this.#bytes < prefixBytes + length) return undefined;
    const message = this.#take(prefixBytes + length).subarray(prefixBytes);
    if (!isEnd) return message;
    this.#end = message;
    this.#chunks = [];
    this.#bytes = 0;
    return undefined;
  }

  #peek(count: number): Buffer {
    if (this.#chunks[0]!.length < count) this.#chunks = [Buffer.concat(this.#chunks, this.#bytes)];
    return this.#chunks[0]!;
  }

  #take(count: number): Buffer {
    const first = this.#peek(count);
    this.#bytes -= count;
    if (first.length === count) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(count);
    return first.subarray(0, count);
  }
}
