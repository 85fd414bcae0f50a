import { parseCursor } from '@everywire/protocol';
import { Batch } from '../core/log/batch.ts';
import type { Clock, Timer } from '../core/clock.ts';
import type { Message } from '../core/log/message.ts';
import type { Session } from '../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../core/seams/sink.ts';
import type { Subscription } from '../core/seams/subscription-api.ts';

/** Where merged messages go: a single response. */
export interface MergedTarget {
  /** False: nothing more until `drained()`. */
  write(batch: Batch): boolean;
  notify(notice: Notice): void;
  close(reason: CloseReason): void;
}

/** While one filter's log is read, the others' messages wait for it; how often to look whether it got there. */
const lookEveryMs = 20;

/** One filter of several: at most one batch waits here, and the filter is held until that is written. */
class Part implements Sink {
  readonly #merged: MergedSource;
  session: Session | undefined;
  subscription: Subscription | undefined;
  waiting: readonly Message[] = [];
  batch: Batch | undefined;

  constructor(merged: MergedSource) {
    this.#merged = merged;
  }

  deliver(batch: Batch): boolean {
    this.batch = this.waiting.length === 0 ? batch : undefined;
    this.waiting = this.waiting.length === 0 ? batch.messages : [...this.waiting, ...batch.messages];
    this.#merged.wake();
    return false;
  }

  notify(notice: Notice): void {
    this.#merged.target.notify(notice);
  }

  close(reason: CloseReason): void {
    this.#merged.target.close(reason);
  }
}

/**
 * Several filters in one response, in one order: a reader's cursor is that of the last message it saw, so nothing may
 * be written before everything below it has been. Each filter has its own session, so that one can be held alone; a
 * message is written once it is known that no other filter still owes an earlier one. A message that several filters
 * match is written once.
 */
export class MergedSource {
  readonly target: MergedTarget;
  readonly #clock: Clock;
  readonly #parts: Part[] = [];
  #isWoken = false;
  #isHeld = false;
  #hasEnded = false;
  #timer: Timer | undefined;

  constructor(target: MergedTarget, clock: Clock) {
    this.target = target;
    this.#clock = clock;
  }

  /** Adds a filter: `begin` opens its session on the sink it is given, and subscribes. */
  async add(
    begin: (sink: Sink) => Promise<{ readonly session: Session; readonly subscription: Subscription }>,
  ): Promise<Subscription> {
    const part = new Part(this);
    const started = await begin(part);
    part.session = started.session;
    part.subscription = started.subscription;
    this.#parts.push(part);
    if (this.#hasEnded) started.session.end('lost');
    return started.subscription;
  }

  /** All filters are there: writing may begin. */
  start(): void {
    for (const part of this.#parts) part.subscription!.start();
  }

  get isLive(): boolean {
    return this.#parts.every((part) => part.waiting.length === 0 && part.subscription?.isLive === true);
  }

  get cursor(): string {
    return this.#parts.map((part) => part.subscription!.cursor).reduce(earlier);
  }

  /** The earliest of the places where the filters begin. */
  get startCursor(): string {
    return this.#parts.map((part) => part.subscription!.startCursor).reduce(earlier);
  }

  /** Merges at the end of this turn, when every filter has been given what this turn brought. */
  wake(): void {
    if (this.#isWoken || this.#isHeld) return;
    this.#isWoken = true;
    this.#clock.turn(() => {
      this.#isWoken = false;
      this.#merge();
    });
  }

  drained(): void {
    this.#isHeld = false;
    this.#merge();
  }

  end(how: 'left' | 'lost'): void {
    this.#hasEnded = true;
    this.#timer?.cancel();
    for (const part of this.#parts) part.session?.end(how);
  }

  #merge(): void {
    if (this.#hasEnded || this.#isHeld) return;
    const given = this.#parts.filter((part) => part.waiting.length > 0);
    if (given.length === 0) return;
    const safeSeq = Math.min(
      ...this.#parts.map((part) =>
        part.waiting.length > 0
          ? part.waiting[part.waiting.length - 1]!.seq
          : seqOf(part.subscription!.cursor),
      ),
    );
    const batch = take(given, safeSeq);
    if (batch !== undefined) this.#isHeld = !this.target.write(batch);
    for (const part of given) if (part.waiting.length === 0) part.session?.drained();
    if (this.#parts.every((part) => part.waiting.length === 0)) return;
    if (batch === undefined) this.#lookAgain();
    else this.wake();
  }

  #lookAgain(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(lookEveryMs, () => this.#merge());
  }
}

/** Takes what is at or below `safeSeq` from all parts, in seq order, each message once. */
function take(parts: readonly Part[], safeSeq: number): Batch | undefined {
  const [only] = parts;
  if (parts.length === 1 && only!.batch !== undefined && only!.batch.lastSeq <= safeSeq) {
    // The common case: one channel spoke. Its bytes are shared with all other followers.
    const { batch } = only!;
    only!.waiting = [];
    only!.batch = undefined;
    return batch;
  }
  const bySeq = new Map<number, Message>();
  for (const part of parts) {
    for (const message of part.waiting) if (message.seq <= safeSeq) bySeq.set(message.seq, message);
    part.waiting = part.waiting.filter((message) => message.seq > safeSeq);
    part.batch = undefined;
  }
  const messages = [...bySeq.values()].sort((left, right) => left.seq - right.seq);
  return messages.length === 0 ? undefined : new Batch(messages);
}

function earlier(left: string, right: string): string {
  return seqOf(left) <= seqOf(right) ? left : right;
}

function seqOf(cursor: string): number {
  return parseCursor(cursor)?.seq ?? 0;
}
