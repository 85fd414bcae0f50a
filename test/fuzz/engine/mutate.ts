import type { SeededRandom } from './random.ts';

const bytesOfInterest = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 0x0a, 0x0d, 0x20, 0x22, 0x2f, 0x5c, 0xc0, 0xed];
const numbersOfInterest = [
  0, 1, 2, 10, 16, 32, 64, 100, 125, 126, 127, 128, 255, 256, 1000, 1024, 4096, 0x7fff, 0x8000, 0xffff,
  0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
];
const numbersAsText = [
  '0',
  '-1',
  '1',
  '00',
  '01',
  '9',
  '10',
  '255',
  '256',
  '65535',
  '65536',
  '2147483648',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '1e400',
  '-0',
  '0.5',
  '1e-7',
  '99999999999999999999',
];
const changesMax = 6;

/** Makes inputs out of inputs, in one private buffer. */
export class Mutator {
  readonly #random: SeededRandom;
  readonly #bytes: Buffer;
  readonly #dictionary: readonly Buffer[];
  #length = 0;

  constructor(random: SeededRandom, inputBytesMax: number, dictionary: readonly Buffer[]) {
    this.#random = random;
    this.#bytes = Buffer.alloc(inputBytesMax);
    this.#dictionary = dictionary;
  }

  /** A changed copy of `input`; `other` is something to take parts of. */
  mutate(input: Buffer, other: Buffer): Buffer {
    this.#length = input.copy(this.#bytes);
    // Mostly one change or two: more seldom leave anything well formed.
    let changes = 1;
    while (changes < changesMax && this.#random.oneIn(2)) changes += 1;
    for (let change = 0; change < changes; change += 1) this.#change(other);
    return Buffer.from(this.#bytes.subarray(0, this.#length));
  }

  #change(other: Buffer): void {
    const random = this.#random;
    switch (random.below(15)) {
      case 0: {
        this.#set((byte) => byte ^ (1 << random.below(8)));
        return;
      }
      case 1: {
        this.#set(() => random.below(256));
        return;
      }
      case 2: {
        this.#set(() => random.pick(bytesOfInterest));
        return;
      }
      case 3: {
        this.#set((byte) => byte + random.below(9) - 4);
        return;
      }
      case 4: {
        this.#remove();
        return;
      }
      case 5: {
        this.#insert(Buffer.from([random.below(256)]));
        return;
      }
      case 6: {
        this.#insert(this.#part(this.#bytes.subarray(0, this.#length)));
        return;
      }
      case 7: {
        this.#insert(this.#part(other));
        return;
      }
      case 8: {
        this.#overwrite(this.#part(other));
        return;
      }
      case 9: {
        this.#insertDictionary();
        return;
      }
      case 10: {
        this.#overwrite(this.#word());
        return;
      }
      case 11: {
        this.#setNumber();
        return;
      }
      case 12: {
        this.#setTextNumber();
        return;
      }
      case 13: {
        this.#insertCounted(random.oneIn(2) ? this.#part(other) : this.#word());
        return;
      }
      default: {
        this.#insert(Buffer.alloc(1 + random.below(random.oneIn(8) ? 300 : 12), this.#anyByte()));
        return;
      }
    }
  }

  #anyByte(): number {
    return this.#length > 0 && this.#random.oneIn(2)
      ? this.#bytes[this.#random.below(this.#length)]!
      : this.#random.below(256);
  }

  #set(change: (byte: number) => number): void {
    if (this.#length === 0) {
      this.#insert(Buffer.from([this.#random.below(256)]));
      return;
    }
    const at = this.#random.below(this.#length);
    this.#bytes[at] = change(this.#bytes[at]!);
  }

  #remove(): void {
    const bytes = Math.min(this.#length, 1 + this.#random.below(this.#random.oneIn(4) ? this.#length : 4));
    const at = this.#random.below(this.#length - bytes + 1);
    this.#bytes.copyWithin(at, at + bytes, this.#length);
    this.#length -= bytes;
  }

  #insert(piece: Buffer, at = this.#random.below(this.#length + 1)): void {
    const bytes = Math.min(piece.length, this.#bytes.length - this.#length);
    this.#bytes.copyWithin(at + bytes, at, this.#length);
    piece.copy(this.#bytes, at, 0, bytes);
    this.#length += bytes;
  }

  #overwrite(piece: Buffer): void {
    const at = this.#random.below(this.#length + 1);
    const bytes = piece.copy(this.#bytes, at);
    this.#length = Math.max(this.#length, at + bytes);
  }

  #insertDictionary(): void {
    const word = this.#word();
    // A word is useful in the place of another word of its kind, so it replaces the text between two delimiters.
    if (this.#random.oneIn(3) && this.#length > 0) {
      const at = this.#random.below(this.#length);
      let start = at;
      let end = at;
      while (start > 0 && isWordByte(this.#bytes[start - 1]!)) start -= 1;
      while (end < this.#length && isWordByte(this.#bytes[end]!)) end += 1;
      this.#bytes.copyWithin(start, end, this.#length);
      this.#length -= end - start;
      this.#insert(word, start);
      return;
    }
    this.#insert(word);
  }

  /** Inserts and counts up a byte that may be the length of what it was inserted into. */
  #insertCounted(piece: Buffer): void {
    const at = this.#random.below(this.#length + 1);
    const before = this.#length;
    this.#insert(piece, at);
    for (let lengths = 1 + this.#random.below(2); lengths > 0 && at > 0; lengths -= 1) {
      const place = this.#random.oneIn(2)
        ? Math.max(0, at - 1 - this.#random.below(4))
        : this.#random.below(at);
      this.#bytes[place] = this.#bytes[place]! + this.#length - before;
    }
  }

  #setNumber(): void {
    const value = this.#random.pick(numbersOfInterest);
    const width = this.#random.pick([1, 2, 4] as const);
    if (this.#length < width) return;
    const at = this.#random.below(this.#length - width + 1);
    if (width === 1) this.#bytes[at] = value;
    else if (width === 2) this.#bytes.writeUInt16BE(value & 0xffff, at);
    else this.#bytes.writeUInt32BE(value, at);
  }

  #setTextNumber(): void {
    let at = this.#random.below(this.#length);
    for (let looked = 0; looked < this.#length && !isDigit(this.#bytes[at]!); looked += 1) {
      at = (at + 1) % this.#length;
    }
    let end = at;
    while (end < this.#length && isDigit(this.#bytes[end]!)) end += 1;
    this.#bytes.copyWithin(at, end, this.#length);
    this.#length -= end - at;
    this.#insert(Buffer.from(this.#random.pick(numbersAsText)), at);
  }

  #word(): Buffer {
    if (this.#dictionary.length === 0) return Buffer.from([this.#anyByte()]);
    return this.#random.pick(this.#dictionary);
  }

  #part(whole: Buffer): Buffer {
    const bytes = 1 + this.#random.below(this.#random.oneIn(4) ? whole.length : Math.min(whole.length, 16));
    const at = this.#random.below(whole.length - bytes + 1);
    // A copy, because the buffer around it may change meanwhile.
    return Buffer.from(whole.subarray(at, at + bytes));
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isWordByte(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x2d;
}
