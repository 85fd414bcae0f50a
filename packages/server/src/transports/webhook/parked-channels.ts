import type { Clock, Timer } from '../../core/clock.ts';

/** A parked channel, in the row of its webhook. */
export interface ParkedRow {
  readonly channel: string;
  /** The cursor from which the channel is read. */
  readonly cursor: string;
  /** Messages below this offset were delivered, or skipped. */
  readonly offset: number;
  /** The subscription of the webhook has left out the messages of this channel up to here. */
  readonly throughSeq: number;
  readonly failures: number;
  readonly lastError?: string | undefined;
  readonly nextAttemptMs?: number | undefined;
  /** When the message that failed was published. */
  readonly messageMs?: number | undefined;
}

/** A parked channel while its webhook is active. */
export interface ParkedChannel extends ParkedRow {
  cursor: string;
  offset: number;
  throughSeq: number;
  failures: number;
  lastError?: string | undefined;
  nextAttemptMs?: number | undefined;
  messageMs?: number | undefined;
  isDue: boolean;
  timer: Timer | undefined;
}

/** The parked channels of one webhook: one of their messages failed. Each is retried separately. */
export class ParkedChannels {
  readonly #clock: Clock;
  readonly #onDue: () => void;
  readonly #all = new Map<string, ParkedChannel>();

  /** `onDue` is called when the retry of one is due. */
  constructor(rows: readonly ParkedRow[], clock: Clock, onDue: () => void) {
    this.#clock = clock;
    this.#onDue = onDue;
    for (const row of rows) this.add(row);
  }

  get size(): number {
    return this.#all.size;
  }

  get rows(): readonly ParkedRow[] {
    return [...this.#all.values()].map(
      ({ channel, cursor, offset, throughSeq, failures, lastError, nextAttemptMs, messageMs }) => ({
        channel,
        cursor,
        offset,
        throughSeq,
        failures,
        lastError,
        nextAttemptMs,
        messageMs,
      }),
    );
  }

  /** The channels whose retry is due now. */
  get due(): readonly ParkedChannel[] {
    return [...this.#all.values()].filter(({ isDue }) => isDue);
  }

  get(channel: string): ParkedChannel | undefined {
    return this.#all.get(channel);
  }

  add(row: ParkedRow): ParkedChannel {
    const parked = { ...row, isDue: false, timer: undefined };
    this.#all.set(row.channel, parked);
    return parked;
  }

  remove(channel: string): void {
    this.#all.get(channel)?.timer?.cancel();
    this.#all.delete(channel);
  }

  clear(): void {
    this.stop();
    this.#all.clear();
  }

  /** Sets the time of the retry; `undefined`: at once. */
  retryAt(parked: ParkedChannel, atMs: number | undefined): void {
    parked.nextAttemptMs = atMs;
    parked.timer?.cancel();
    parked.timer = undefined;
    const waitMs = (atMs ?? 0) - this.#clock.nowMs();
    parked.isDue = waitMs <= 0;
    if (parked.isDue) return;
    parked.timer = this.#clock.after(waitMs, () => {
      parked.timer = undefined;
      parked.isDue = true;
      this.#onDue();
    });
  }

  /** The webhook starts: each channel keeps the time of its retry. */
  start(): void {
    for (const parked of this.#all.values()) this.retryAt(parked, parked.nextAttemptMs);
  }

  retryNow(): void {
    for (const parked of this.#all.values()) this.retryAt(parked, undefined);
  }

  stop(): void {
    for (const parked of this.#all.values()) {
      parked.timer?.cancel();
      parked.timer = undefined;
      parked.isDue = false;
    }
  }
}
