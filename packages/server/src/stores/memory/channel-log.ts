import type { Message } from '../../core/log/message.ts';
import type { Retention } from '../../core/seams/store.ts';
import type { TrimPoint } from '../trim-point.ts';

/** The entry of a publish id. */
export interface Remembered {
  readonly fingerprint: string;
  readonly message: Pick<Message, 'epoch' | 'seq' | 'offset' | 'tag' | 'id' | 'timeMs'>;
  readonly rememberedMs: number;
}

/** One epoch of one channel: a bounded log of messages, and the remembered parts of those it removed. */
export class ChannelLog {
  readonly name: string;
  readonly no: number;
  readonly epoch: string;
  /** Oldest first, since a Map keeps the order of insertion. */
  readonly publishIds = new Map<string, Remembered>();
  retained: Message | undefined;
  #kept: Message[] = [];
  /** Index in `#kept` of the oldest message; entries before it were trimmed and await a compaction. */
  #start = 0;
  #offset = 0;
  #bytes = 0;
  #trimPoint: TrimPoint | undefined;

  constructor(name: string, no: number, epoch: string) {
    this.name = name;
    this.no = no;
    this.epoch = epoch;
  }

  /** The offset of the newest message; 0 before the first. */
  get offset(): number {
    return this.#offset;
  }

  get firstOffset(): number {
    return this.#offset - this.count + 1;
  }

  get count(): number {
    return this.#kept.length - this.#start;
  }

  /** Payload bytes kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Up to where this life was trimmed. */
  get trimPoint(): TrimPoint | undefined {
    return this.#trimPoint;
  }

  get newest(): Message | undefined {
    return this.count > 0 ? this.#kept[this.#kept.length - 1] : undefined;
  }

  /** The kept message number `index`, the oldest being 0. */
  at(index: number): Message | undefined {
    return index < 0 ? undefined : this.#kept[this.#start + index];
  }

  atOffset(offset: number): Message | undefined {
    return this.at(offset - this.firstOffset);
  }

  /** The index of the first kept message for which `isReached`, which is false up to it and true from it on. */
  indexOf(isReached: (message: Message) => boolean): number {
    let low = this.#start;
    let high = this.#kept.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isReached(this.#kept[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low - this.#start;
  }

  indexAfter(seq: number): number {
    return this.indexOf((message) => message.seq > seq);
  }

  push(message: Message, retention: Retention): void {
    this.#kept.push(message);
    this.#offset = message.offset;
    this.#bytes += message.payload.length;
    let trim = Math.max(0, this.count - retention.countMax);
    let bytes = this.#bytes;
    for (let index = 0; index < trim; index += 1) bytes -= this.at(index)!.payload.length;
    while (bytes > retention.bytesMax) bytes -= this.at(trim++)!.payload.length;
    this.trim(trim);
  }

  /** Removes the `count` oldest messages. */
  trim(count: number): void {
    if (count === 0) return;
    const last = this.at(count - 1)!;
    for (let index = 0; index < count; index += 1) this.#bytes -= this.at(index)!.payload.length;
    this.#trimPoint = {
      channel: this.name,
      channelNo: this.no,
      through: last.position,
      offset: last.offset,
      earlierSeq: 0,
      reason: 'retention',
    };
    // `fill` releases the payloads now; moving the array on every message would cost more than it frees.
    this.#kept.fill(undefined as never, this.#start, this.#start + count);
    this.#start += count;
    if (this.#start > 64 && this.#start > this.#kept.length / 2) {
      this.#kept = this.#kept.slice(this.#start);
      this.#start = 0;
    }
  }
}
