import { EverywireError } from '@everywire/protocol';
import type { Identity } from '../sessions/access.ts';
import { SubjectQuotas } from '../sessions/subject-quotas.ts';
import type { DurableQuota } from './kind.ts';

/** What counts against a quota. */
export interface Counted {
  isCounted: boolean;
  /** It takes no place: it ends with its connection, and has rows for a crash only. */
  isFree: boolean;
  /** It is being ended to make room, and its place is another's already. */
  isEvicted: boolean;
  /** The subject whose quota it counts against. */
  subject: string | undefined;
}

/** How many sessions of a kind are kept, in all and by subject. A kind that evicts counts when it sweeps, not here. */
export class Quotas {
  readonly #quota: DurableQuota;
  readonly #what: string;
  readonly #evict: (subject: string | undefined) => boolean;
  readonly #shares = new SubjectQuotas();
  #count = 0;

  /** @param evict ends the session that is away for longest, of that subject if it is given; false: all are open */
  constructor(quota: DurableQuota, what: string, evict: (subject: string | undefined) => boolean) {
    this.#quota = quota;
    this.#what = what;
    this.#evict = evict;
  }

  get count(): number {
    return this.#count;
  }

  /** @throws EverywireError `quota_exceeded` if one more would be one too many */
  check(identity: Identity): void {
    const { policy, max, perSubjectMax, makesRoom = false } = this.#quota;
    if (policy === 'evict') return;
    if (perSubjectMax !== undefined && !this.#makesRoomFor(identity, perSubjectMax))
      this.#shares.check(identity, perSubjectMax, this.#what);
    if (this.#count < max || (makesRoom && this.#evict(undefined))) return;
    throw new EverywireError('quota_exceeded', `The server keeps at most ${max} ${this.#what}.`);
  }

  #makesRoomFor(identity: Identity, perSubjectMax: number): boolean {
    const { subject } = identity;
    const isOver = this.#quota.makesRoom === true && this.#shares.isFull(identity, perSubjectMax);
    return isOver && subject !== undefined && this.#evict(subject);
  }

  /** Counts one, unless it is counted already. @throws EverywireError `quota_exceeded` */
  take(one: Counted, identity: Identity): void {
    if ((one.isCounted && !one.isFree) || this.#quota.policy === 'evict') return;
    this.check(identity);
    this.remove(one);
    this.add(one, identity.subject);
  }

  /** Keeps one that takes no place. */
  addFree(one: Counted): void {
    if (one.isCounted || this.#quota.policy === 'evict') return;
    one.isCounted = true;
    one.isFree = true;
  }

  /** It is about to end, and its place is free from now on. */
  evict(one: Counted): void {
    one.isEvicted = true;
    this.#giveUpPlace(one);
  }

  /** Counts one that exists already, without a check. */
  add(one: Counted, subject: string | undefined): void {
    one.isCounted = true;
    one.subject = subject;
    this.#count += 1;
    this.#shares.add(subject);
  }

  remove(one: Counted): void {
    if (!one.isCounted) return;
    if (!one.isFree && !one.isEvicted) this.#giveUpPlace(one);
    one.isCounted = false;
    one.isFree = false;
    one.isEvicted = false;
  }

  #giveUpPlace({ subject }: Counted): void {
    this.#count -= 1;
    this.#shares.remove(subject);
  }
}
