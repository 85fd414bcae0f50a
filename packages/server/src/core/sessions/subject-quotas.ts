import { EverywireError } from '@everywire/protocol';
import { isBounded, type Identity } from './access.ts';
import { Counts } from './counts.ts';

/** The subject whose quota counts; `undefined` where no quota holds. */
export function boundedSubject(identity: Identity): string | undefined {
  return isBounded(identity) ? identity.subject : undefined;
}

/** Counts what each subject holds of a shared resource, and bounds it for subjects that are `isBounded`. */
export class SubjectQuotas {
  readonly #counts = new Counts();

  add(subject: string | undefined): void {
    if (subject !== undefined) this.#counts.add(subject);
  }

  remove(subject: string | undefined): void {
    if (subject !== undefined) this.#counts.remove(subject);
  }

  /** Whether one more would be one too many. */
  isFull(identity: Identity, most: number): boolean {
    const subject = boundedSubject(identity);
    return subject !== undefined && this.#counts.of(subject) >= most;
  }

  /**
   * Whether one more may be added.
   * @param what in the plural, for the message
   * @throws EverywireError `quota_exceeded`
   */
  check(identity: Identity, most: number, what: string): void {
    if (!this.isFull(identity, most)) return;
    throw new EverywireError('quota_exceeded', `One subject has at most ${most} ${what}.`);
  }
}
