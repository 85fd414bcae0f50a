import { EverywireError } from '../../../packages/protocol/src/index.ts';
import type { Batch } from '../../../packages/server/src/core/log/batch.ts';
import type { Subscription } from '../../../packages/server/src/core/seams/subscription-api.ts';
import { matchesFilter } from '../../faults/checker/filters.ts';
import type { Follows, Party } from './party.ts';
import { mayExpire, type Setting } from './setting.ts';

export interface SharingOptions {
  readonly name: string;
  readonly filter: string;
  readonly isKept: boolean;
}

interface Known {
  /** The member that has it and has not settled it. */
  holder: Sharer | undefined;
  /** When it was acknowledged for good. */
  ackedAtMs: number | undefined;
}

/** So long after an ack, a kill must not bring the message back: saving has had its time. */
const savedAfterMs = 1_000;
/** The server tries a refused write again after this. */
const retryMs = 1_000;

/** A group as it must be, seen from outside. */
export class Sharing {
  readonly options: SharingOptions;
  readonly members = new Set<Sharer>();
  readonly #setting: Setting;
  #known = new Map<number, Known>();
  #newestUnmarked = 0;

  constructor(setting: Setting, options: SharingOptions) {
    this.#setting = setting;
    this.options = options;
  }

  get hasAckingMember(): boolean {
    return [...this.members].some(({ acknowledges }) => acknowledges);
  }

  delivered(sharer: Sharer, seq: number, isMarked: boolean): void {
    const { killsMs, refusalsMs } = this.#setting;
    const known = this.#known.get(seq);
    const { holder, ackedAtMs } = known ?? {};
    if (holder !== undefined) this.problem(`seq ${seq} is held by two members at once`);
    if (known !== undefined && !isMarked) this.problem(`seq ${seq} comes again without a mark`);
    if (ackedAtMs !== undefined) {
      const killedMs = killsMs.find((atMs) => atMs >= ackedAtMs);
      if (killedMs === undefined) this.problem(`seq ${seq} comes again after it was acknowledged`);
      else if (killedMs > savedByMs(ackedAtMs, refusalsMs, killedMs))
        this.problem(`seq ${seq} comes again although there was time to save its ack`);
    }
    if (!isMarked && this.members.size === 1) {
      if (seq <= this.#newestUnmarked) this.problem(`seq ${seq} comes out of order to the only member`);
    }
    if (!isMarked) this.#newestUnmarked = Math.max(this.#newestUnmarked, seq);
    this.#known.set(seq, { holder: sharer, ackedAtMs: undefined });
  }

  settled(seq: number, isAcked: boolean): void {
    const { time } = this.#setting;
    this.#known.set(seq, { holder: undefined, ackedAtMs: isAcked ? time.monotonicMs() : undefined });
  }

  /** The last member has gone by its own will. */
  ended(): void {
    if (this.options.isKept) return;
    this.#known = new Map();
    this.#newestUnmarked = 0;
  }

  judge(): void {
    if (!this.options.isKept) return;
    for (const { message } of this.#setting.log.written) {
      if (!matchesFilter(this.options.filter, message.channel) || mayExpire(message)) continue;
      if (this.#known.get(message.seq)?.ackedAtMs === undefined)
        this.problem(`seq ${message.seq} was acknowledged by no member`);
    }
  }

  problem(text: string): void {
    this.#setting.problems.push(`$share/${this.options.name}/${this.options.filter}: ${text}`);
  }
}

/** When an ack is saved at the latest, if the server lives so long. */
function savedByMs(ackedAtMs: number, refusalsMs: readonly number[], killedMs: number): number {
  // One that was refused just before the ack makes its save wait as well.
  const refusedMs = refusalsMs.findLast((atMs) => atMs >= ackedAtMs - retryMs && atMs <= killedMs);
  return (refusedMs === undefined ? ackedAtMs : refusedMs + retryMs) + savedAfterMs;
}

/** One member of a group. It does everything that a peer may do, also from within a delivery. */
export class Sharer implements Follows {
  readonly sharing: Sharing;
  readonly #setting: Setting;
  readonly #party: Party;
  readonly acknowledges: boolean;
  readonly #usesQuota: boolean;
  readonly #windowMessages: number;
  /** In the order of delivery. */
  #out: number[] = [];
  #newestUnmarked = 0;
  #subscription: Subscription | undefined;
  #isStarted = false;
  #hasLeft = false;

  constructor(setting: Setting, sharing: Sharing, party: Party) {
    const { chance, isCalm } = setting;
    this.#setting = setting;
    this.sharing = sharing;
    this.#party = party;
    this.acknowledges = isCalm || chance.happens(0.8);
    this.#usesQuota = this.acknowledges && chance.happens(0.3);
    this.#windowMessages = chance.between(1, 12);
    sharing.members.add(this);
    party.follows.add(this);
    const { name, filter, isKept } = sharing.options;
    party.session
      .subscribe(`$share/${name}/${filter}`, {
        from: { since: { kind: 'earliest' } },
        keepGroup: isKept,
        acknowledge: this.acknowledges ? 'peer' : 'delivered',
        windowMessages: this.#windowMessages,
        credit: this.#usesQuota ? party.quota : undefined,
        batchMessagesMax: chance.happens(0.2) ? chance.between(1, 5) : undefined,
        tag: this,
      })
      .then(
        (subscription) => {
          this.#subscription = subscription;
          if (setting.isCalm || chance.happens(0.7)) this.#start();
          else setting.time.after(chance.below(100), () => this.#start());
        },
        (cause: unknown) => {
          const code = cause instanceof EverywireError ? cause.code : undefined;
          if (code !== 'store_unavailable' && code !== 'going_away')
            sharing.problem(`could not be joined: ${String(cause)}`);
          if (!this.#hasLeft) this.left(false);
        },
      );
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  delivered({ messages }: Batch, subscription: Subscription): void {
    const { chance, isCalm } = this.#setting;
    if (this.#hasLeft) this.sharing.problem('a delivery to a member that has left');
    if (!this.#isStarted) this.sharing.problem('a delivery to a member that was not started');
    for (const { seq } of messages) {
      const isMarked = seq <= subscription.redeliveredThroughSeq;
      this.sharing.delivered(this, seq, isMarked);
      if (!isMarked && seq <= this.#newestUnmarked)
        this.sharing.problem(`seq ${seq} comes out of order to a member`);
      if (!isMarked) this.#newestUnmarked = seq;
      this.#out.push(seq);
    }
    this.#count(messages.length);
    if (!this.acknowledges) {
      this.#settle([...this.#out], true);
      return;
    }
    if (this.#out.length > this.#windowMessages)
      this.sharing.problem(`a member has ${this.#out.length} in its window`);
    if (isCalm) queueMicrotask(() => this.ackAll());
    else if (chance.happens(0.2)) this.act();
  }

  #start(): void {
    // A server that was killed starts nothing any more.
    if (this.#hasLeft) return;
    this.#isStarted = true;
    this.#subscription!.start();
  }

  act(): void {
    const { chance } = this.#setting;
    const subscription = this.#subscription;
    if (subscription === undefined || this.#hasLeft) return;
    const kind = chance.below(100);
    const seq = this.#out.length === 0 ? undefined : chance.pick(this.#out);
    if (kind < 40 && seq !== undefined) {
      this.#settle([seq], true);
      subscription.ack(seq, true);
      this.#creditAvailable();
    } else if (kind < 60 && seq !== undefined) {
      this.#settle(this.#out.slice(0, this.#out.indexOf(seq) + 1), true);
      subscription.ack(seq);
      this.#creditAvailable();
    } else if (kind < 80 && seq !== undefined) {
      this.#settle([seq], false);
      subscription.release(seq);
      this.#creditAvailable();
    } else if (kind < 85) {
      this.#settle([...this.#out], false);
      subscription.rewind();
      this.#creditAvailable();
    } else if (kind < 90) {
      this.#leave();
    } else if (kind < 93) {
      this.#party.end();
    }
  }

  ackAll(): void {
    if (this.#hasLeft || this.#subscription === undefined) return;
    for (const seq of [...this.#out]) {
      this.#settle([seq], true);
      this.#subscription.ack(seq, true);
    }
    this.#creditAvailable();
  }

  left(wasKilled: boolean): void {
    this.#hasLeft = true;
    this.#settle([...this.#out], false);
    this.#party.follows.delete(this);
    this.sharing.members.delete(this);
    if (this.sharing.members.size === 0 && !wasKilled) this.sharing.ended();
  }

  #leave(): void {
    this.left(false);
    this.#subscription!.cancel();
    this.#creditAvailable();
  }

  #settle(seqs: readonly number[], isAcked: boolean): void {
    for (const seq of seqs) this.sharing.settled(seq, isAcked);
    this.#out = this.#out.filter((seq) => !seqs.includes(seq));
    if (this.#usesQuota) this.#party.quota.out -= seqs.length;
  }

  #count(messages: number): void {
    const { quota } = this.#party;
    if (!this.#usesQuota) return;
    quota.out += messages;
    if (quota.out > quota.max) this.sharing.problem(`${quota.out} are out, and the quota is ${quota.max}`);
  }

  #creditAvailable(): void {
    if (this.#usesQuota) this.#party.gaveRoom(0);
  }
}
