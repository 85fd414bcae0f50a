import type { Histogram } from '../histogram.ts';
import {
  payloadHeadBytes,
  payloadMarker,
  readDigits,
  seqAt,
  seqDigits,
  timeAt,
  timeDigits,
} from '../payload.ts';

export interface ArrivalOptions {
  /** Size of the published payload; what follows it up to the next marker is framing. */
  readonly payloadBytes: number;
  /** Each sequence number must be the last one plus one. Off where a connection carries many channels. */
  readonly ordered: boolean;
  /** The sequence number before the first expected one; `undefined` accepts any first one. */
  readonly afterSeq?: number | undefined;
  readonly latency: Histogram;
  /** Times one message in this many, chosen by its number, so that no place in a chunk is preferred. */
  readonly sampleEvery: number;
  /** Which of them: connections differ, so that together they time every message. */
  readonly sampleAt: number;
  /** Is shown the framing that breaks the rhythm of the messages: where a ping can be. */
  readonly onFraming?: ((bytes: Buffer) => void) | undefined;
}

const first = payloadMarker[0]!;
const second = payloadMarker[1]!;
const third = payloadMarker[2]!;

/**
 * Counts, checks and times the payloads in one connection's byte stream, in any framing.
 *
 * Messages of a run have the same size, so the next marker is nearly always where the last two foretell. That costs
 * three byte comparisons; only off the rhythm is the chunk searched. A payload may be cut anywhere between chunks.
 */
export class Arrivals {
  count = 0;
  /** Messages that did not have the number after the one before: lost, repeated or reordered. */
  violations = 0;
  /** The number of the last message; before the first, one less than the first expected, or -1 when any will do. */
  lastSeq: number;
  #stride: number;
  /** Where the last marker was, from the start of the next chunk: never positive. */
  #last: number;
  #carry: Buffer | undefined;
  readonly #options: ArrivalOptions;

  constructor(options: ArrivalOptions) {
    this.#options = options;
    this.lastSeq = options.afterSeq ?? -1;
    this.#stride = options.payloadBytes;
    this.#last = -options.payloadBytes;
  }

  /** Takes the next bytes, which arrived at `nowUs`. Keeps no reference to `bytes`. */
  read(bytes: Buffer, nowUs: number): void {
    let chunk = bytes;
    let from = 0;
    if (this.#carry !== undefined) {
      const carry = this.#carry;
      this.#carry = undefined;
      if (bytes.length < payloadHeadBytes) {
        chunk = Buffer.concat([carry, bytes]);
        this.#last += carry.length;
      } else {
        from = this.#readAcross(carry, bytes, nowUs);
      }
    }
    const length = chunk.length;
    let last = this.#last;
    for (;;) {
      let at = last + this.#stride;
      if (at < from || at + payloadHeadBytes > length || !isMarker(chunk, at)) {
        at = chunk.indexOf(payloadMarker, from);
        this.#showFraming(chunk, Math.max(from, last + this.#options.payloadBytes), at < 0 ? length : at);
        if (at < 0 || at + payloadHeadBytes > length) break;
      }
      this.#arrive(chunk, at, nowUs);
      this.#stride = at - last;
      last = at;
      from = at + payloadHeadBytes;
    }
    this.#last = last - length;
    this.#keepTail(chunk, from);
  }

  /** Reads the payload that begins in the kept tail, if one does; returns where the rest of the chunk begins. */
  #readAcross(carry: Buffer, chunk: Buffer, nowUs: number): number {
    const joined = Buffer.concat([carry, chunk.subarray(0, payloadHeadBytes - 1)]);
    const at = joined.indexOf(payloadMarker);
    if (at < 0 || at >= carry.length) return 0;
    this.#arrive(joined, at, nowUs);
    this.#stride = at - carry.length - this.#last;
    this.#last = at - carry.length;
    return this.#last + payloadHeadBytes;
  }

  /** Keeps the bytes at the end that may be the start of a payload's head. */
  #keepTail(chunk: Buffer, from: number): void {
    for (let i = Math.max(from, chunk.length - payloadHeadBytes + 1); i < chunk.length; i++) {
      if (chunk[i] === first) {
        this.#carry = Buffer.from(chunk.subarray(i));
        return;
      }
    }
  }

  #showFraming(chunk: Buffer, from: number, to: number): void {
    if (from < to && this.#options.onFraming !== undefined) this.#options.onFraming(chunk.subarray(from, to));
  }

  #arrive(bytes: Buffer, at: number, nowUs: number): void {
    const { latency, ordered, sampleEvery, sampleAt } = this.#options;
    const seq = readDigits(bytes, at + seqAt, seqDigits);
    if (ordered && seq !== this.lastSeq + 1 && this.lastSeq >= 0) this.violations++;
    this.lastSeq = seq;
    this.count++;
    if (seq % sampleEvery === sampleAt) latency.add(nowUs - readDigits(bytes, at + timeAt, timeDigits));
  }
}

function isMarker(bytes: Buffer, at: number): boolean {
  return bytes[at] === first && bytes[at + 1] === second && bytes[at + 2] === third;
}
