import type { Position } from '@everywire/protocol';
import type { Message } from './message.ts';

/** Messages → bytes of one wire. Pure: the same messages always give the same bytes. */
export interface WireFormat {
  /** The key under which a batch remembers the encoding. Everything that changes the bytes is part of it. */
  readonly id: string;
  encode(messages: readonly Message[]): Encoded;
}

export interface Encoded {
  readonly bytes: Buffer;
  /** Places in `bytes` that each peer fills in for itself, such as an MQTT packet id. */
  readonly slots: readonly number[];
  /**
   * Where each message ends in `bytes`. With it, a reader that has some of the messages is given the rest as a slice
   * of the same bytes; a format whose encoding is not a concatenation leaves it out and encodes again.
   */
  readonly ends?: readonly number[];
}

/**
 * The most encodings that a batch remembers. Peers choose parts of some formats, such as an id, and pages are kept for
 * a while: further encodings are made for each request.
 */
const encodingsMax = 16;

/** Builds an `Encoded` for formats whose encoding is the concatenation of one piece per message. */
export function concatenate(pieces: readonly Buffer[]): Encoded {
  if (pieces.length === 1) return { bytes: pieces[0]!, slots: [], ends: [pieces[0]!.length] };
  let at = 0;
  const ends = pieces.map((piece) => (at += piece.length));
  return { bytes: Buffer.concat(pieces, at), slots: [], ends };
}

/** The same for formats that make text: one UTF-8 pass over the whole. */
export function concatenateText(pieces: readonly string[]): Encoded {
  if (pieces.length === 1) {
    const bytes = Buffer.from(pieces[0]!);
    return { bytes, slots: [], ends: [bytes.length] };
  }
  let at = 0;
  const ends = pieces.map((piece) => (at += Buffer.byteLength(piece)));
  return { bytes: Buffer.from(pieces.join('')), slots: [], ends };
}

/**
 * The unit of delivery: a run of messages in seq order, of one channel or of one filter, that remembers its encodings.
 * A thousand sinks share it; it and its bytes must not be changed.
 */
export class Batch {
  readonly messages: readonly Message[];
  readonly #parent: Batch | undefined;
  /** Where this view begins among the parent's messages. */
  readonly #from: number;
  #format: string | undefined;
  #encoded: Encoded | undefined;
  #others: Map<string, Encoded> | undefined;
  #end: Position | undefined;
  #mayExpire: boolean | undefined;
  #payloadBytes: number | undefined;

  /** `messages` must not be empty. */
  constructor(messages: readonly Message[], view?: { readonly parent: Batch; readonly from: number }) {
    this.messages = messages;
    this.#parent = view?.parent;
    this.#from = view?.from ?? 0;
  }

  get firstSeq(): number {
    return this.messages[0]!.seq;
  }

  get lastSeq(): number {
    return this.messages[this.messages.length - 1]!.seq;
  }

  /** The place after the last message. */
  get end(): Position {
    return (this.#end ??= this.messages[this.messages.length - 1]!.position);
  }

  /** Of all payloads, added up once for all readers. */
  get payloadBytes(): number {
    return (this.#payloadBytes ??= this.messages.reduce((sum, { payload }) => sum + payload.length, 0));
  }

  /** The messages in `format`, encoded on first use; later calls get the same Buffer, while formats are few. */
  as(format: WireFormat): Encoded {
    if (this.#format === format.id) return this.#encoded!;
    const known = this.#others?.get(format.id);
    if (known !== undefined) return known;
    const encoded = this.#sliceOfParent(format) ?? format.encode(this.messages);
    if (this.#format === undefined) {
      this.#format = format.id;
      this.#encoded = encoded;
    } else {
      this.#others ??= new Map();
      if (this.#others.size < encodingsMax - 1) this.#others.set(format.id, encoded);
    }
    return encoded;
  }

  /** The messages above `seq`, as a view that shares this batch's bytes; `undefined` when there are none. */
  since(seq: number): Batch | undefined {
    if (seq < this.firstSeq) return this;
    if (seq >= this.lastSeq) return undefined;
    let low = 0;
    let high = this.messages.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.messages[middle]!.seq > seq) high = middle;
      else low = middle + 1;
    }
    return new Batch(this.messages.slice(low), { parent: this, from: low });
  }

  /** The first `count` messages, at least one, as a view that shares this batch's bytes. */
  first(count: number): Batch {
    if (count >= this.messages.length) return this;
    return new Batch(this.messages.slice(0, Math.max(1, count)), { parent: this, from: 0 });
  }

  /** The messages that `keep` accepts; this same batch for all of them, `undefined` for no message. */
  only(keep: (message: Message) => boolean): Batch | undefined {
    if (this.messages.every(keep)) return this;
    const kept = this.messages.filter(keep);
    return kept.length === 0 ? undefined : new Batch(kept);
  }

  /** Most batches have no message with a time to live, and are asked once per reader: remembered. */
  get mayExpire(): boolean {
    return (this.#mayExpire ??=
      this.#parent?.mayExpire ?? this.messages.some(({ expiresAtMs }) => expiresAtMs !== undefined));
  }

  /** Without the messages whose time to live is over. */
  unexpired(nowMs: number): Batch | undefined {
    if (!this.mayExpire) return this;
    return this.only(({ expiresAtMs }) => expiresAtMs === undefined || expiresAtMs > nowMs);
  }

  #sliceOfParent(format: WireFormat): Encoded | undefined {
    if (this.#parent === undefined) return undefined;
    const whole = this.#parent.as(format);
    if (whole.ends === undefined) return undefined;
    const start = whole.ends[this.#from - 1] ?? 0;
    const ends = whole.ends.slice(this.#from, this.#from + this.messages.length).map((end) => end - start);
    const length = ends[ends.length - 1]!;
    return {
      bytes: whole.bytes.subarray(start, start + length),
      slots: whole.slots.map((slot) => slot - start).filter((slot) => slot >= 0 && slot < length),
      ends,
    };
  }
}
