import { unmask } from './mask.ts';

/** Writers of frames (RFC 6455 §5.2): never fragmented, without extension bits. Frames of a server have no mask. */

export const opcodes = {
  continuation: 0x0,
  text: 0x1,
  binary: 0x2,
  close: 0x8,
  ping: 0x9,
  pong: 0xa,
} as const;

export type Opcode = (typeof opcodes)[keyof typeof opcodes];

/** Longest body of a control frame (§5.5). */
export const controlBytesMax = 125;
/** A Close body is two bytes of code, then the reason (§5.5.1). */
const closeReasonBytesMax = controlBytesMax - 2;

const isFinal = 0x80;
/** Bit of a header's second byte: a masking key follows the length. */
export const maskBit = 0x80;
/** Length of a masking key. */
export const maskBytes = 4;

export interface Frames {
  readonly bytes: Buffer;
  /** The end of each frame in `bytes`. */
  readonly ends: readonly number[];
}

export function frame(opcode: Opcode, payload: Buffer): Buffer {
  const start = headerLength(payload.length);
  const bytes = Buffer.allocUnsafe(start + payload.length);
  writeHeader(bytes, 0, opcode, payload.length);
  payload.copy(bytes, start);
  return bytes;
}

/**
 * A frame of a client (§5.3). `mask` holds the first byte of the masking key in its lowest bits. It must not be
 * predictable if a script chooses the payload (§10.3); only a load generator may use 0, which saves the masking.
 */
export function maskedFrame(opcode: Opcode, payload: Buffer | string, mask: number): Buffer {
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  const start = headerLength(length) + maskBytes;
  const bytes = Buffer.allocUnsafe(start + length);
  writeHeader(bytes, 0, opcode, length);
  bytes[1]! |= maskBit;
  bytes.writeInt32LE(mask | 0, start - maskBytes);
  if (typeof payload === 'string') bytes.write(payload, start);
  else payload.copy(bytes, start);
  if (mask !== 0) unmask(bytes, start, bytes.length, mask | 0, 0);
  return bytes;
}

/** One text frame for each of `texts`, in one buffer. The texts must be well-formed Unicode. */
export function textFrames(texts: readonly string[]): Frames {
  const lengths = texts.map((text) => Buffer.byteLength(text));
  let total = 0;
  const ends = lengths.map((length) => (total += headerLength(length) + length));
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (const [index, text] of texts.entries()) {
    at = writeHeader(bytes, at, opcodes.text, lengths[index]!);
    at += bytes.write(text, at);
  }
  return { bytes, ends };
}

/** The body of a Close frame. A reason that is too long is cut between characters. */
export function closeBody(code: number, reason = ''): Buffer {
  const body = Buffer.alloc(2 + closeReasonBytesMax);
  body.writeUInt16BE(code, 0);
  // `write` never writes part of a character, so the cut text is still UTF-8.
  return body.subarray(0, 2 + body.write(reason, 2));
}

/** Whether a Close frame may hold `code`: registered or private, and not reserved for use inside (§7.4). */
export function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

export function headerLength(length: number): number {
  return length < 126 ? 2 : length < 0x10000 ? 4 : 10;
}

/** Writes the header at `at` and returns the position after it. */
export function writeHeader(bytes: Buffer, at: number, opcode: Opcode, length: number): number {
  bytes[at] = isFinal | opcode;
  if (length < 126) {
    bytes[at + 1] = length;
    return at + 2;
  }
  if (length < 0x10000) {
    bytes[at + 1] = 126;
    return bytes.writeUInt16BE(length, at + 2);
  }
  bytes[at + 1] = 127;
  bytes.writeUInt32BE(Math.floor(length / 0x100000000), at + 2);
  return bytes.writeUInt32BE(length >>> 0, at + 6);
}
