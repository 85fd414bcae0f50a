import { EverywireError } from '@everywire/protocol';
import { isBounded, type Identity } from './access.ts';
import { Counts } from './counts.ts';

/** Whose share something is to be held against: `undefined` for what no share bounds. */
export function boundedSubject(identity: Identity): string | undefined {
  return isBounded(identity) ? identity.subject : undefined;
}

/** What each subject holds of something that all share. Whatever it holds is counted, and bounded where it `isBounded`. */
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
