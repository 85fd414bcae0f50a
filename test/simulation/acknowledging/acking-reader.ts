import { EverywireError } from '../../../packages/protocol/src/index.ts';
import type { Batch } from '../../../packages/server/src/core/log/batch.ts';
import type { Progress, Subscription } from '../../../packages/server/src/core/seams/subscription-api.ts';
import { matchesFilter } from '../../faults/checker/filters.ts';
import type { Follows, Party } from './party.ts';
import { mayExpire, type Setting } from './setting.ts';

export interface AckingReaderOptions {
  readonly name: string;
  readonly filter: string;
  /** Stores its progress with every step, or now and then. */
  readonly isEager: boolean;
  readonly usesQuota: boolean;
}

/**
 * One that acknowledges what it was given and keeps its progress where no kill reaches it: everything must come, nothing
 * that it stored as acknowledged may come again, and what does come again is marked.
 */
export class AckingReader implements Follows {
  readonly name: string;
  readonly filter: string;
  readonly #setting: Setting;
  readonly #options: AckingReaderOptions;
  readonly #everDelivered = new Set<number>();
  /** As its newest subscription knows them. */
  #acked = new Set<number>();
  readonly #everAcked = new Set<number>();
  #stored: Progress | undefined;
  #ackedWhenStored = new Set<number>();
  /** A kill came after it was stored. */
  #isStale = false;
  /** Once true, the model knows only that delivered positions are not above the head. */
  #wasEverStale = false;
  /** In the order of delivery. */
  #out: number[] = [];
  #newestUnmarked = 0;
  #windowMessages = 1;
  #party: Party | undefined;
  #attempt: object | undefined;
  #subscription: Subscription | undefined;

  constructor(setting: Setting, options: AckingReaderOptions) {
    this.#setting = setting;
    this.#options = options;
    this.name = options.name;
    this.filter = options.filter;
  }

  get isIdle(): boolean {
    return this.#party === undefined;
  }

  subscribe(party: Party): void {
    const { chance, openedAtSeq } = this.#setting;
    const stored = this.#stored;
    this.#party = party;
    party.follows.add(this);
    this.#windowMessages = chance.between(1, 12);
    this.#acked = new Set(this.#ackedWhenStored);
    this.#newestUnmarked = 0;
    const attempt = (this.#attempt = {});
    const throughSeq = this.#isStale ? openedAtSeq : 0;
    party.session
      .subscribe(this.filter, {
        from: { since: { kind: 'earliest' } },
        progress: stored && {
          ...stored,
          deliveredWatermark: Math.max(stored.deliveredWatermark, throughSeq),
        },
        acknowledge: 'peer',
        windowMessages: this.#windowMessages,
        credit: this.#options.usesQuota ? party.quota : undefined,
        batchMessagesMax: chance.happens(0.2) ? chance.between(1, 5) : undefined,
        tag: this,
      })
      .then(
        (subscription) => {
          if (this.#attempt !== attempt) return;
          this.#subscription = subscription;
          if (stored === undefined) this.store();
          subscription.start();
        },
        (cause: unknown) => {
          const code = cause instanceof EverywireError ? cause.code : undefined;
          if (code !== 'store_unavailable' && code !== 'going_away')
            this.#problem(`could not subscribe: ${String(cause)}`);
          if (this.#attempt === attempt) this.left(false);
        },
      );
  }

  delivered({ messages }: Batch, subscription: Subscription): void {
    const { chance, isCalm } = this.#setting;
    if (this.#subscription === undefined) this.#problem('was delivered to before it was started');
    for (const { seq } of messages) {
      const isMarked = seq <= subscription.redeliveredThroughSeq;
      const isRepeated = this.#everDelivered.has(seq);
      if (this.#out.includes(seq)) this.#problem(`was given seq ${seq}, which it has not settled`);
      if (this.#acked.has(seq)) this.#problem(`was given seq ${seq} again, which is acknowledged`);
      if (isRepeated && !isMarked) this.#problem(`was given seq ${seq} again without a mark`);
      if (!isRepeated && isMarked && !this.#wasEverStale)
        this.#problem(`was given seq ${seq} with a false mark`);
      if (!isMarked && seq <= this.#newestUnmarked) this.#problem(`was given seq ${seq} out of order`);
      if (!isMarked) this.#newestUnmarked = seq;
      this.#everDelivered.add(seq);
      this.#out.push(seq);
    }
    if (this.#out.length > this.#windowMessages) this.#problem(`has ${this.#out.length} in its window`);
    this.#count(messages.length);
    if (this.#options.isEager) this.store();
    if (isCalm) queueMicrotask(() => this.ackAll());
    else if (chance.happens(0.2)) this.act();
  }

  /** One of the things that a peer does, from within a delivery or at any other time. */
  act(): void {
    const { chance } = this.#setting;
    const subscription = this.#subscription;
    if (subscription === undefined) return;
    const seq = this.#out.length === 0 ? undefined : chance.pick(this.#out);
    const kind = chance.below(100);
    if (kind < 35 && seq !== undefined) this.#ack(seq, true);
    else if (kind < 60 && seq !== undefined) this.#ack(seq, false);
    else if (kind < 75 && seq !== undefined) this.#release(seq);
    else if (kind < 80) this.#rewind();
    else if (kind < 90) this.store();
    else if (kind < 94) this.leave();
    else subscription.release(1_000_000);
    if (this.#options.isEager) this.store();
  }

  ackAll(): void {
    for (const seq of [...this.#out]) this.#ack(seq, true);
  }

  store(): void {
    if (this.#subscription === undefined) return;
    this.#stored = this.#subscription.progress;
    this.#isStale = false;
    this.#ackedWhenStored = new Set(this.#acked);
  }

  /** Goes in order, with everything stored. */
  leave(): void {
    this.store();
    this.#subscription?.cancel();
    this.#forget();
  }

  left(wasKilled: boolean): void {
    if (!wasKilled) this.store();
    else if (!this.#options.isEager) this.#isStale = this.#wasEverStale = true;
    this.#forget();
  }

  judge(): void {
    for (const { message } of this.#setting.log.written) {
      if (!matchesFilter(this.filter, message.channel) || mayExpire(message)) continue;
      if (!this.#everAcked.has(message.seq)) this.#problem(`was never given seq ${message.seq} to the end`);
    }
  }

  #ack(seq: number, only: boolean): void {
    const taken = only ? [seq] : this.#out.slice(0, this.#out.indexOf(seq) + 1);
    for (const one of taken) {
      this.#acked.add(one);
      this.#everAcked.add(one);
    }
    this.#settle(taken);
    this.#subscription!.ack(seq, only);
    this.#creditAvailable(taken.length);
  }

  #release(seq: number): void {
    this.#settle([seq]);
    this.#subscription!.release(seq);
    this.#creditAvailable(1);
  }

  #rewind(): void {
    const taken = this.#out.length;
    this.#settle([...this.#out]);
    this.#subscription!.rewind();
    this.#creditAvailable(taken);
  }

  #settle(seqs: readonly number[]): void {
    this.#out = this.#out.filter((seq) => !seqs.includes(seq));
  }

  #count(messages: number): void {
    const { quota } = this.#party!;
    if (!this.#options.usesQuota) return;
    quota.out += messages;
    if (quota.out > quota.max) this.#problem(`${quota.out} are out, and the quota is ${quota.max}`);
  }

  #creditAvailable(count: number): void {
    if (this.#options.usesQuota) this.#party?.gaveRoom(count);
  }

  #forget(): void {
    const party = this.#party;
    party?.follows.delete(this);
    if (this.#options.usesQuota && party !== undefined) party.gaveRoom(this.#out.length);
    this.#party = undefined;
    this.#attempt = undefined;
    this.#subscription = undefined;
    this.#out = [];
  }

  #problem(text: string): void {
    this.#setting.problems.push(`${this.name} (${this.filter}) ${text}`);
  }
}
