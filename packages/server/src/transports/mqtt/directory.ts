import type { Identity } from '../../core/sessions/access.ts';
import type { Clock } from '../../core/clock.ts';
import { SubjectQuotas } from '../../core/sessions/subject-quotas.ts';
import { Deadlines, type Deadline } from '../../core/deadlines.ts';

/** A session that somebody may come back to, or that is open. */
export class DirectoryEntry<Connection> {
  readonly key: string;
  /** Who has it open. */
  connection: Connection | undefined;
  /** It has rows: it outlives its connection, or its will does. */
  isStored = false;
  /** Whose it is, once it has rows. */
  subject: string | undefined;
  /** Of one that is away: when something is to be done about it. */
  deadline: Deadline | undefined;
  /** By the clock that only grows. */
  expiresAtMs = Number.POSITIVE_INFINITY;
  willAtMs = Number.POSITIVE_INFINITY;
  /** What was begun last, if it is not done. */
  tail: Promise<void> | undefined;

  constructor(key: string) {
    this.key = key;
  }
}

export interface DirectoryOptions<Connection> {
  readonly clock: Clock;
  /** A session that is away has expired, or its will is due. Must not throw. */
  readonly onDue: (entry: DirectoryEntry<Connection>) => void;
}

/**
 * All sessions by key, open or away. What is done to one session is done one after the other: two connections with one
 * client id, and the end of a connection, never meet halfway.
 */
export class Directory<Connection> {
  readonly #clock: Clock;
  readonly #entries = new Map<string, DirectoryEntry<Connection>>();
  readonly #deadlines: Deadlines<DirectoryEntry<Connection>>;
  readonly #shares = new SubjectQuotas();
  #stored = 0;

  constructor({ clock, onDue }: DirectoryOptions<Connection>) {
    this.#clock = clock;
    this.#deadlines = new Deadlines({ clock, onDue });
  }

  /** Sessions with rows. */
  get stored(): number {
    return this.#stored;
  }

  /** Runs `run` when everything begun before for this session is done. */
  async exclusively<T>(key: string, run: (entry: DirectoryEntry<Connection>) => Promise<T>): Promise<T> {
    let entry = this.#entries.get(key);
    if (entry === undefined) this.#entries.set(key, (entry = new DirectoryEntry(key)));
    const before = entry.tail;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    entry.tail = promise;
    try {
      if (before !== undefined) await before;
      return await run(entry);
    } finally {
      resolve(undefined);
      if (entry.tail === promise) {
        entry.tail = undefined;
        if (entry.connection === undefined && !entry.isStored) this.#entries.delete(key);
      }
    }
  }

  /** Resolves when nothing is being done to any session. */
  async idle(): Promise<void> {
    const tails = [...this.#entries.values()].flatMap(({ tail }) => (tail === undefined ? [] : [tail]));
    if (tails.length === 0) return;
    await Promise.all(tails);
    await this.idle();
  }

  /** @throws EverywireError `quota_exceeded`: with one more, that subject would have more than `most` that have rows */
  checkShare(identity: Identity, most: number): void {
    this.#shares.check(identity, most, 'sessions that are kept');
  }

  /** It has rows, or is about to. */
  keep(entry: DirectoryEntry<Connection>, subject: string | undefined): void {
    if (entry.isStored) return;
    entry.isStored = true;
    entry.subject = subject;
    this.#stored += 1;
    this.#shares.add(subject);
  }

  /** It has no rows any more. */
  drop(entry: DirectoryEntry<Connection>): void {
    if (!entry.isStored) return;
    entry.isStored = false;
    this.#stored -= 1;
    this.#shares.remove(entry.subject);
  }

  /** Nobody has it open: it is to expire, and its will is to be published, in so many milliseconds; `undefined`: never. */
  away(entry: DirectoryEntry<Connection>, expiryMs: number | undefined, willMs: number | undefined): void {
    const nowMs = this.#clock.monotonicMs();
    entry.expiresAtMs = expiryMs === undefined ? Number.POSITIVE_INFINITY : nowMs + expiryMs;
    entry.willAtMs = willMs === undefined ? Number.POSITIVE_INFINITY : nowMs + willMs;
    this.#watch(entry, nowMs);
  }

  willPublished(entry: DirectoryEntry<Connection>): void {
    entry.willAtMs = Number.POSITIVE_INFINITY;
    this.#watch(entry, this.#clock.monotonicMs());
  }

  /** Somebody has it open again, or it is gone. */
  back(entry: DirectoryEntry<Connection>): void {
    entry.expiresAtMs = Number.POSITIVE_INFINITY;
    entry.willAtMs = Number.POSITIVE_INFINITY;
    entry.deadline?.cancel();
    entry.deadline = undefined;
  }

  /** Try again later: the store could not be written. */
  postpone(entry: DirectoryEntry<Connection>, delayMs: number): void {
    entry.deadline?.restart(delayMs);
  }

  #watch(entry: DirectoryEntry<Connection>, nowMs: number): void {
    const dueMs = Math.min(entry.expiresAtMs, entry.willAtMs);
    if (dueMs === Number.POSITIVE_INFINITY) {
      entry.deadline?.cancel();
      entry.deadline = undefined;
      return;
    }
    const delayMs = Math.max(0, dueMs - nowMs);
    if (entry.deadline === undefined) entry.deadline = this.#deadlines.start(entry, delayMs);
    else entry.deadline.restart(delayMs);
  }
}
