import { EverywireError } from '@everywire/protocol';

/** What harnesses have in common. They are loaded with counters, so they import from here and not the other way. */

/** Whether `decode` returned. A refusal with a code of the error table gives `false`; every other error is thrown on. */
export function isTaken(decode: () => void): boolean {
  try {
    decode();
    return true;
  } catch (error) {
    if (error instanceof EverywireError && error.code !== 'internal') return false;
    throw error;
  }
}

/** What `decode` returns, or `undefined` when it refused. */
export function takenOrRefused<T>(decode: () => T): T | undefined {
  let value: T | undefined;
  isTaken(() => {
    value = decode();
  });
  return value;
}

const bytewiseMax = 96;

/** Other ways to cut `input` into chunks: at a few places that its own bytes choose, and, if it is short, byte by byte. */
export function chunkingsOf(input: Buffer): Buffer[][] {
  const all = [cutAt(input, placesOf(input))];
  if (input.length <= bytewiseMax) all.push([...input].map((byte) => Buffer.of(byte)));
  return all;
}

/** Copies: readers may keep or change what they are handed. */
function cutAt(input: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...places.map((place) => place % (input.length + 1)).sort((a, b) => a - b), input.length];
  let from = 0;
  return ends.map((end) => {
    const chunk = Buffer.from(input.subarray(from, end));
    from = end;
    return chunk;
  });
}

/** A hash (FNV-1a), so that the same input is always cut alike. */
function placesOf(input: Buffer): readonly number[] {
  let hash = 0x811c9dc5;
  for (const byte of input) hash = Math.imul(hash ^ byte, 0x01000193);
  hash = (hash ^ (hash >>> 15)) >>> 0;
  return [hash, hash >>> 7, hash >>> 13].slice(0, 1 + (hash % 3));
}

/** Takes an input apart into fields, for decoders that are handed several. */
export class Pieces {
  readonly #input: Buffer;
  #at = 0;

  constructor(input: Buffer) {
    this.#input = input;
  }

  /** 0 at the end. */
  byte(): number {
    return this.#input[this.#at++] ?? 0;
  }

  /** Bytes behind their number, in one byte. */
  bytes(): Buffer {
    const length = this.byte();
    const bytes = this.#input.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }

  /** The same as text, where what is not UTF-8 has become U+FFFD. */
  text(): string {
    return this.bytes().toString();
  }

  /** Absent where it would be empty. */
  optionalText(): string | undefined {
    const text = this.text();
    return text === '' ? undefined : text;
  }

  rest(): Buffer {
    const rest = this.#input.subarray(this.#at);
    this.#at = this.#input.length;
    return rest;
  }
}

/** The counterpart of `Pieces`, for seeds. Texts and bytes are put behind their number, numbers are bytes. */
export function pieces(
  parts: readonly (number | string | Uint8Array)[],
  rest: string | Uint8Array = '',
): Buffer {
  const list = parts.map((part) => {
    if (typeof part === 'number') return Buffer.of(part);
    const bytes = Buffer.from(part);
    return Buffer.concat([Buffer.of(bytes.length), bytes.subarray(0, 255)]);
  });
  return Buffer.concat([...list, Buffer.from(rest)]);
}
