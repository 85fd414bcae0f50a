import { formatCursor, type Position } from '@everywire/protocol';

/** A checked message of a publisher, before the store has given it a place. */
export interface Draft {
  /** ULID, made by the hub. */
  readonly id: string;
  readonly timeMs: number;
  /** Media type, as the publisher gave it. */
  readonly type: string;
  readonly payload: Buffer;
  readonly event?: string | undefined;
  readonly headers?: ReadonlyMap<string, string> | undefined;
  /** The authenticated subject. */
  readonly from?: string | undefined;
  /** The publish id: the same id on the same channel is stored once. */
  readonly key?: string | undefined;
  /** Keep as the channel's retained message; an empty payload removes the one that is kept. */
  readonly retain?: boolean | undefined;
  /** Store the message without `retain` where the store has no room for one more retained message. */
  readonly retainIfRoom?: boolean | undefined;
  /** Not delivered after this instant. */
  readonly expiresAtMs?: number | undefined;
  /**
   * Properties that only the publisher's protocol has, such as the QoS: stored with the message, never read by the
   * core. The first byte says whose it is (the transport's own `limits.ts`), the rest is that transport's.
   */
  readonly native?: Buffer | undefined;
}

/** The place of a message, and the check that it is this message. */
export interface Place {
  readonly epoch: string;
  readonly seq: number;
  readonly offset: number;
  /** Sixteen random hex digits, stored with the message. */
  readonly tag: string;
}

/** A message that has its place. It never changes again. */
export class Message implements Place {
  readonly channel: string;
  readonly epoch: string;
  readonly seq: number;
  readonly offset: number;
  readonly tag: string;
  readonly id: string;
  readonly timeMs: number;
  readonly type: string;
  readonly payload: Buffer;
  readonly event: string | undefined;
  readonly headers: ReadonlyMap<string, string> | undefined;
  readonly from: string | undefined;
  readonly retain: boolean;
  readonly expiresAtMs: number | undefined;
  readonly native: Buffer | undefined;

  constructor(channel: string, place: Place, draft: Omit<Draft, 'key'>) {
    this.channel = channel;
    this.epoch = place.epoch;
    this.seq = place.seq;
    this.offset = place.offset;
    this.tag = place.tag;
    this.id = draft.id;
    this.timeMs = draft.timeMs;
    this.type = draft.type;
    this.payload = draft.payload;
    this.event = draft.event;
    this.headers = draft.headers;
    this.from = draft.from;
    this.retain = draft.retain === true;
    this.expiresAtMs = draft.expiresAtMs;
    this.native = draft.native;
  }

  /** The place after this message has been read. */
  get position(): Position {
    return { epoch: this.epoch, seq: this.seq, tag: this.tag };
  }

  get cursor(): string {
    return formatCursor(this);
  }
}

/** Rough size on a wire: payload plus what an envelope adds. Bounds batches and pages; never shown. */
export function estimateBytes(message: Message): number {
  return message.payload.length + 200 + message.channel.length;
}
