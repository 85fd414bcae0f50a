import { isUtf8 } from 'node:buffer';
import { controlBytesMax, isCloseCode, maskBit, maskBytes, opcodes } from './frames.ts';
import { unmask } from './mask.ts';
import { utf8Progress } from './utf8.ts';

export interface FrameReaderLimits {
  /** Payload of one message, over all its frames. */
  readonly messageBytesMax: number;
  /** A longer binary message comes in pieces, each as a message, for protocols that are a stream of bytes. Absent: 1009. */
  readonly passesLongBinary?: boolean | undefined;
  /**
   * The largest number of frames in one message, plus one for each KiB, since some libraries cut a long message into
   * frames of 4 KiB.
   */
  readonly fragmentsMax: number;
}

/** The side of the connection. Clients mask their frames, servers do not (RFC 6455 §5.1). */
export type Role = 'client' | 'server';

/** The meaning of a peer's bytes. `payload` may be part of a larger chunk: copy bytes that you keep for long. */
export type Received =
  | { readonly kind: 'text' | 'binary' | 'ping' | 'pong'; readonly payload: Buffer }
  /** `code` is 1005 if the peer sent none (RFC 6455 §7.1.5). The reader ignores everything after it. */
  | { readonly kind: 'close'; readonly code: number; readonly reason: string }
  | Broken;

/** The bytes break the protocol: close the connection with `code` (§7.1.7). The reader reads nothing after them. */
export interface Broken {
  readonly kind: 'broken';
  readonly code: 1002 | 1007 | 1009;
  /** The broken rule, for the Close frame and for people. */
  readonly reason: string;
}

const nothing = Buffer.alloc(0);
/** First capacity of the buffer for a message; it doubles, so that an announced length reserves no memory. */
const gatherBytesMin = 512;
/** In a long message, each block of this size allows one more frame. */
const bytesPerFragment = 1024;
const noCode = 1005;

/**
 * Reads the frames of the other side (RFC 6455 §5), strictly, from chunks cut anywhere: `push` a chunk, then call
 * `next` until it returns `undefined`. A message within one chunk shares memory with it, and is unmasked in place. The
 * reader collects other messages in one buffer that grows with the received bytes, never in a list of chunks. So a peer
 * that sends single bytes costs no more memory than its bytes.
 */
export class FrameReader {
  /** May be changed between messages. */
  limits: FrameReaderLimits;
  readonly #isServer: boolean;
  #chunk: Buffer = nothing;
  #at = 0;
  #isOver = false;
  /** The frame being read; `#left` is -1 between frames. */
  #left = -1;
  #opcode = 0;
  #isFinal = false;
  #mask = 0;
  #phase = 0;
  /** The message being read; 0 between messages. */
  #message = 0;
  #fragments = 0;
  #gathered: Buffer = nothing;
  #gatheredBytes = 0;
  /** The message is longer than messages may be, and comes in pieces. */
  #isPassing = false;
  #passedBytes = 0;
  /** How many of its bytes are checked to be complete UTF-8 characters. */
  #checkedBytes = 0;

  /** `role` is the reader's own: a server reads masked frames, a client frames without a mask. */
  constructor(limits: FrameReaderLimits, role: Role = 'server') {
    this.limits = limits;
    this.#isServer = role === 'server';
  }

  /** Takes over `chunk`: a server's reader changes it in place. */
  push(chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.#at === this.#chunk.length) this.#chunk = chunk;
    else this.#chunk = Buffer.concat([this.#chunk.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /** The next message or control frame of the peer, or `undefined` until more bytes come. */
  next(): Received | undefined {
    while (!this.#isOver) {
      if (this.#left < 0) {
        const fault = this.#readHeader();
        if (fault === 'incomplete') break;
        if (fault !== undefined) return this.#fail(fault);
      }
      const received = this.#opcode >= opcodes.close ? this.#readControl() : this.#readData();
      if (received === 'incomplete') break;
      if (received !== undefined) return received;
    }
    this.#keepRest();
    return undefined;
  }

  /** Reads the header only when it is complete, so that a fault does not depend on how the bytes were cut. */
  #readHeader(): Broken | 'incomplete' | undefined {
    const chunk = this.#chunk;
    const at = this.#at;
    if (chunk.length - at < 2) return 'incomplete';
    const first = chunk[at]!;
    const second = chunk[at + 1]!;
    const fault = this.#checkStart(first, second);
    if (fault !== undefined) return fault;

    let length = second & 0x7f;
    let maskAt = at + 2;
    if (length === 126) {
      if (chunk.length - at < 4) return 'incomplete';
      length = chunk.readUInt16BE(at + 2);
      if (length < 126) return notMinimal;
      maskAt = at + 4;
    } else if (length === 127) {
      if (chunk.length - at < 10) return 'incomplete';
      const high = chunk.readUInt32BE(at + 2);
      if (high >= 0x80000000) return protocol('The highest bit of a 64-bit length must be 0 (§5.2).');
      length = high * 0x100000000 + chunk.readUInt32BE(at + 6);
      if (length < 0x10000) return notMinimal;
      maskAt = at + 10;
    }
    const isData = (first & 0x0f) < opcodes.close;
    if (isData && this.#gatheredBytes + length > this.limits.messageBytesMax) {
      const isBinary = (first & 0x0f || this.#message) === opcodes.binary;
      if (!isBinary || this.limits.passesLongBinary !== true)
        return tooBig(`A message has at most ${this.limits.messageBytesMax} bytes.`);
    }
    const payloadAt = this.#isServer ? maskAt + maskBytes : maskAt;
    if (chunk.length < payloadAt) return 'incomplete';

    this.#opcode = first & 0x0f;
    this.#isFinal = first >= 0x80;
    this.#left = length;
    if (this.#isServer) this.#mask = chunk.readInt32LE(maskAt);
    this.#phase = 0;
    this.#at = payloadAt;
    if (isData) {
      if (this.#opcode !== opcodes.continuation) this.#message = this.#opcode;
      this.#fragments += 1;
      if (this.#gatheredBytes + length > this.limits.messageBytesMax) this.#isPassing = true;
    }
    return undefined;
  }

  #checkStart(first: number, second: number): Broken | undefined {
    const opcode = first & 0x0f;
    if ((first & 0x70) !== 0) return protocol('Reserved bits must be 0 without an extension (§5.2).');
    if (second >= maskBit !== this.#isServer) {
      return protocol(
        `Frames from a ${this.#isServer ? 'client must' : 'server must not'} be masked (§5.1).`,
      );
    }
    if (opcode >= opcodes.close) {
      if (opcode > opcodes.pong) return protocol('This opcode is reserved (§5.2).');
      if (first < 0x80) return protocol('Control frames must not be fragmented (§5.5).');
      if ((second & 0x7f) > controlBytesMax) return protocol('Control frames have at most 125 bytes (§5.5).');
      return undefined;
    }
    if (opcode > opcodes.binary) return protocol('This opcode is reserved (§5.2).');
    if (opcode === opcodes.continuation) {
      if (this.#message === 0) return protocol('There is no message to continue (§5.4).');
      const more = Math.floor((this.#gatheredBytes + this.#passedBytes) / bytesPerFragment);
      if (this.#fragments >= this.limits.fragmentsMax + more) {
        return tooBig(`A message has at most ${this.limits.fragmentsMax} frames, and one more for each KiB.`);
      }
      return undefined;
    }
    return this.#message === 0 ? undefined : protocol('The previous message has not ended (§5.4).');
  }

  #readControl(): Received | 'incomplete' {
    const end = this.#at + this.#left;
    if (this.#chunk.length < end) return 'incomplete';
    const payload = this.#takePayload(end);
    this.#left = -1;
    if (this.#opcode === opcodes.close) {
      this.#isOver = true;
      this.#release();
      return readClose(payload);
    }
    return { kind: this.#opcode === opcodes.ping ? 'ping' : 'pong', payload };
  }

  /** `undefined`: the frame has ended, the message continues. */
  #readData(): Received | 'incomplete' | undefined {
    const end = this.#at + this.#left;
    if (this.#isPassing) return this.#pass(Math.min(end, this.#chunk.length));
    if (this.#isFinal && this.#gatheredBytes === 0 && this.#phase === 0 && end <= this.#chunk.length) {
      const payload = this.#takePayload(end);
      if (this.#message === opcodes.text && !isUtf8(payload)) return this.#fail(notUtf8);
      return this.#endMessage(payload);
    }
    const arrived = this.#takePayload(Math.min(end, this.#chunk.length));
    this.#gather(arrived);
    this.#left -= arrived.length;
    if (this.#message === opcodes.text) {
      const checked = utf8Progress(this.#gathered, this.#checkedBytes, this.#gatheredBytes);
      if (checked < 0) return this.#fail(notUtf8);
      this.#checkedBytes = checked;
    }
    if (this.#left > 0) return 'incomplete';
    this.#left = -1;
    if (!this.#isFinal) return undefined;
    if (this.#message === opcodes.text && this.#checkedBytes < this.#gatheredBytes)
      return this.#fail(notUtf8);
    return this.#endMessage(this.#gathered.subarray(0, this.#gatheredBytes));
  }

  /** A piece of a message that is too long to be gathered. */
  #pass(end: number): Received | 'incomplete' | undefined {
    const gathered = this.#gathered.subarray(0, this.#gatheredBytes);
    this.#gathered = nothing;
    this.#gatheredBytes = 0;
    if (gathered.length > 0) {
      this.#passedBytes += gathered.length;
      return { kind: 'binary', payload: gathered };
    }
    const piece = this.#takePayload(end);
    this.#passedBytes += piece.length;
    this.#left -= piece.length;
    if (this.#left === 0) {
      this.#left = -1;
      if (this.#isFinal) this.#endMessage(nothing);
    } else if (piece.length === 0) {
      return 'incomplete';
    }
    return piece.length === 0 ? undefined : { kind: 'binary', payload: piece };
  }

  #takePayload(end: number): Buffer {
    const start = this.#at;
    if (this.#isServer) unmask(this.#chunk, start, end, this.#mask, this.#phase);
    this.#phase += end - start;
    this.#at = end;
    return this.#chunk.subarray(start, end);
  }

  #gather(arrived: Buffer): void {
    const bytes = this.#gatheredBytes + arrived.length;
    if (bytes > this.#gathered.length) {
      // Twice what has arrived, but no more than this frame will need.
      const capacity = Math.min(Math.max(2 * bytes, gatherBytesMin), this.#gatheredBytes + this.#left);
      const larger = Buffer.allocUnsafe(capacity);
      this.#gathered.copy(larger, 0, 0, this.#gatheredBytes);
      this.#gathered = larger;
    }
    arrived.copy(this.#gathered, this.#gatheredBytes);
    this.#gatheredBytes = bytes;
  }

  #endMessage(payload: Buffer): Received {
    const kind = this.#message === opcodes.text ? 'text' : 'binary';
    this.#left = -1;
    this.#message = 0;
    this.#fragments = 0;
    this.#gathered = nothing;
    this.#gatheredBytes = 0;
    this.#isPassing = false;
    this.#passedBytes = 0;
    this.#checkedBytes = 0;
    return { kind, payload };
  }

  #fail(broken: Broken): Broken {
    this.#isOver = true;
    this.#release();
    return broken;
  }

  #release(): void {
    this.#chunk = nothing;
    this.#at = 0;
    this.#gathered = nothing;
  }

  /** The rest is part of a header or of a control frame. It is copied, so that the whole chunk can be freed. */
  #keepRest(): void {
    this.#chunk = this.#at === this.#chunk.length ? nothing : Buffer.from(this.#chunk.subarray(this.#at));
    this.#at = 0;
  }
}

function readClose(payload: Buffer): Received {
  if (payload.length === 0) return { kind: 'close', code: noCode, reason: '' };
  if (payload.length === 1) return protocol('A Close body must have no bytes, or two or more (§5.5.1).');
  const code = payload.readUInt16BE(0);
  if (!isCloseCode(code)) return protocol('A Close frame must not contain this close code (§7.4).');
  const reason = payload.subarray(2);
  return isUtf8(reason) ? { kind: 'close', code, reason: reason.toString() } : notUtf8;
}

function protocol(reason: string): Broken {
  return { kind: 'broken', code: 1002, reason };
}

function tooBig(reason: string): Broken {
  return { kind: 'broken', code: 1009, reason };
}

const notMinimal = protocol('A length must use the fewest possible bytes (§5.2).');
const notUtf8: Broken = { kind: 'broken', code: 1007, reason: 'Text must be UTF-8 (§8.1).' };
