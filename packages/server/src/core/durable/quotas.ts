import { EverywireError } from '@everywire/protocol';
import type { Identity } from '../sessions/access.ts';
import { SubjectQuotas } from '../sessions/subject-quotas.ts';
import type { DurableQuota } from './kind.ts';

/** What counts against a quota. */
export interface Counted {
  isCounted: boolean;
  /** Whose share it counts against. */
  subject: string | undefined;
}

/** How many sessions of a kind are kept, in all and by subject. A kind that evicts counts when it sweeps, not here. */
export class Quotas {
  readonly #quota: DurableQuota;
  readonly #what: string;
  readonly #shares = new SubjectQuotas();
  #count = 0;

  constructor(quota: DurableQuota, what: string) {
    this.#quota = quota;
    this.#what = what;
  }

  get count(): number {
    return this.#count;
  }

  /** @throws EverywireError `quota_exceeded` if one more would be one too many */
  check(identity: Identity): void {
    const { policy, max, perSubjectMax } = this.#quota;
    if (policy === 'evict') return;
    if (this.#count >= max) {
      throw new EverywireError('quota_exceeded', `The server keeps at most ${max} ${this.#what}.`);
    }
    if (perSubjectMax !== undefined) this.#shares.check(identity, perSubjectMax, this.#what);
  }

  /** Counts one, unless it is counted already. @throws EverywireError `quota_exceeded` */
  take(one: Counted, identity: Identity): void {
    if (one.isCounted || this.#quota.policy === 'evict') return;
    this.check(identity);
    this.add(one, identity.subject);
  }

  /** Counts one that is there in any case. */
  add(one: Counted, subject: string | undefined): void {
    one.isCounted = true;
    one.subject = subject;
    this.#count += 1;
    this.#shares.add(subject);
  }

  remove(one: Counted): void {
    if (!one.isCounted) return;
    one.isCounted = false;
    this.#count -= 1;
    this.#shares.remove(one.subject);
  }
}
