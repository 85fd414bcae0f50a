import type { Identity } from '../../core/sessions/access.ts';
import type { Clock, Random, Timer } from '../../core/clock.ts';
import { Counts } from '../../core/sessions/counts.ts';
import type { SocketIoLimits } from './limits.ts';
import { boundedSubject } from '../../core/sessions/subject-quotas.ts';
import type { RecordRow, RecordStore } from '../../core/seams/store.ts';
import type { Log } from '../../core/seams/log.ts';

/**
 * What a peer comes back to, by its `pid`: who it is, what it follows, and from where at least. The place itself is not
 * here: the peer tells it, or, while it polls, its engine session's record does.
 */
export interface SessionRecord {
  readonly atMs: number;
  readonly sid: string;
  readonly ioNamespace: string;
  readonly identity: Identity;
  /** Filters, each with the place below which nothing is owed. */
  readonly follows: readonly (readonly [filter: string, floor: string])[];
  /** Groups that it is a member of; they keep their own places. Rows of before there were any have none. */
  readonly groups?: readonly string[] | undefined;
  /** The last cursor that the peer had when a filter was begun before that place: who comes back with it has nothing of what followed. */
  readonly turnedAt?: string | undefined;
  /** `turnedAt` may be the cursor of a message that followed as well. */
  readonly isTurnUnclear?: boolean | undefined;
}

/** What a session that polls is, by its engine's `sid`. */
export interface PollRecord {
  readonly atMs: number;
  /** Namespaces, each with its session and the last cursor that an answered poll carried. */
  readonly sockets: readonly (readonly [ioNamespace: string, pid: string, cursor: string | null])[];
  /** Packets that were not in an answered poll yet. */
  readonly waiting: readonly string[];
}

const sessionTable = 'socketio.sessions';
const pollTable = 'socketio.polls';
const pidShape = /^[0-9a-z]{9}[A-Za-z0-9_-]{24}$/;
const pidTimeDigits = 9;
const pidBytes = 18;
const sweepEveryMs = 60_000;
const sweepRows = 200;

/** Rows of those who are here now. */
export interface OpenRows {
  has(key: string): boolean;
  /** Writes the row anew, so that it does not become old. */
  touch(key: string): void;
}

export interface RecordsOptions {
  readonly records: RecordStore;
  readonly limits: Pick<
    SocketIoLimits,
    'ioSessionAgeMsMax' | 'ioSessionsMax' | 'ioSessionsPerSubjectMax' | 'ioPollAgeMsMax'
  >;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly sessions: OpenRows;
  readonly polls: OpenRows;
}

/** Sessions as rows of the store, so that they outlive the process. */
export class SessionRecords {
  readonly #options: RecordsOptions;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: RecordsOptions) {
    this.#options = options;
  }

  /** Begins to let go of rows that are too old, or too many. */
  start(): void {
    this.#timer = this.#options.clock.after(sweepEveryMs, () => {
      this.sweep()
        .catch((cause: unknown) =>
          this.#options.log.warn({ err: cause }, 'old Socket.IO sessions were not removed'),
        )
        .finally(() => {
          if (!this.#isStopped) this.start();
        });
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }

  /** Begins with the time, so that the oldest come first in the table; the rest cannot be guessed. */
  newPid(): string {
    const time = this.#options.clock.nowMs().toString(36).padStart(pidTimeDigits, '0');
    return time + Buffer.from(this.#options.random.hex(pidBytes), 'hex').toString('base64url');
  }

  async session(pid: string): Promise<SessionRecord | undefined> {
    if (!pidShape.test(pid)) return undefined;
    const row = await this.#options.records.get(sessionTable, pid);
    return this.#young(row && parseSession(row), this.#options.limits.ioSessionAgeMsMax);
  }

  saveSession(pid: string, record: Omit<SessionRecord, 'atMs'>): Promise<void> {
    return this.#write(sessionTable, pid, record);
  }

  removeSession(pid: string): Promise<void> {
    return this.#remove(sessionTable, pid);
  }

  async poll(sid: string): Promise<PollRecord | undefined> {
    const row = await this.#options.records.get(pollTable, sid);
    return this.#young(row && parsePoll(row), this.#options.limits.ioPollAgeMsMax);
  }

  savePoll(sid: string, record: Omit<PollRecord, 'atMs'>): Promise<void> {
    return this.#write(pollTable, sid, record);
  }

  removePoll(sid: string): Promise<void> {
    return this.#remove(pollTable, sid);
  }

  /** Removes rows that nobody has used for long, and the oldest sessions beyond the number of their subject and of all. */
  async sweep(): Promise<void> {
    const { limits, sessions, polls } = this.#options;
    const { ioPollAgeMsMax, ioSessionAgeMsMax, ioSessionsPerSubjectMax } = limits;
    await this.#sweepTable(pollTable, parsePoll, ioPollAgeMsMax, polls, () => undefined);
    const bySubject = new Counts();
    let kept = 0;
    let excess = 0;
    await this.#sweepTable(sessionTable, parseSession, ioSessionAgeMsMax, sessions, (record) => {
      kept += 1;
      const subject = record && boundedSubject(record.identity);
      if (subject === undefined) return;
      bySubject.add(subject);
      if (bySubject.of(subject) > ioSessionsPerSubjectMax) excess += 1;
    });
    kept -= await this.#removeOldest(excess, ({ value }) => {
      const record = parseSession(value);
      const subject = record && boundedSubject(record.identity);
      if (subject === undefined || bySubject.of(subject) <= ioSessionsPerSubjectMax) return false;
      bySubject.remove(subject);
      return true;
    });
    await this.#removeOldest(kept - limits.ioSessionsMax, () => true);
  }

  /** @param onKept is told of each row that stays, also of one that is open and cannot be read */
  async #sweepTable<T extends { readonly atMs: number }>(
    table: string,
    parse: (row: Buffer) => T | undefined,
    ageMsMax: number,
    open: OpenRows,
    onKept: (record: T | undefined) => void,
  ): Promise<void> {
    for await (const rows of this.#portions(table)) {
      const nowMs = this.#options.clock.nowMs();
      const old: RecordRow[] = [];
      for (const row of rows) {
        const record = parse(row.value);
        // One that cannot be read is of no more use than one that is too old.
        const ageMs = nowMs - (record?.atMs ?? -Infinity);
        const isOpen = open.has(row.key);
        if (isOpen && ageMs > ageMsMax / 2) open.touch(row.key);
        if (!isOpen && ageMs > ageMsMax) old.push(row);
        else onKept(record);
      }
      await this.#removeAll(table, old);
    }
  }

  /** Removes at most `most` sessions of those that are not open and that `isOne` says, and tells how many. */
  async #removeOldest(most: number, isOne: (row: RecordRow) => boolean): Promise<number> {
    let removed = 0;
    if (most <= 0) return removed;
    for await (const rows of this.#portions(sessionTable)) {
      const oldest: RecordRow[] = [];
      for (const row of rows) {
        if (removed + oldest.length >= most) break;
        if (!this.#options.sessions.has(row.key) && isOne(row)) oldest.push(row);
      }
      await this.#removeAll(sessionTable, oldest);
      removed += oldest.length;
      if (removed >= most) break;
    }
    return removed;
  }

  async #removeAll(table: string, rows: readonly RecordRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.#options.records.write(rows.map(({ key }) => ({ table, key, value: undefined })));
  }

  async *#portions(table: string): AsyncGenerator<readonly RecordRow[]> {
    let after: string | undefined;
    while (!this.#isStopped) {
      const rows = await this.#options.records.list(table, '', after, sweepRows);
      if (rows.length === 0) return;
      after = rows.at(-1)!.key;
      yield rows;
    }
  }

  #young<T extends { readonly atMs: number }>(record: T | undefined, ageMsMax: number): T | undefined {
    return record === undefined || this.#options.clock.nowMs() - record.atMs > ageMsMax ? undefined : record;
  }

  #write(table: string, key: string, record: object): Promise<void> {
    return this.#options.records.write([{ table, key, value: stamped(record, this.#options.clock.nowMs()) }]);
  }

  /** Never rejects: what cannot be removed goes when it is old. */
  async #remove(table: string, key: string): Promise<void> {
    try {
      await this.#options.records.write([{ table, key, value: undefined }]);
    } catch (cause) {
      this.#options.log.debug({ err: cause }, 'a Socket.IO session could not be removed');
    }
  }
}

/** A row that is young again. */
function stamped(record: object, nowMs: number): Buffer {
  return Buffer.from(JSON.stringify({ ...record, atMs: nowMs }));
}

/** Rows are ours; one that is not, such as one of another version, is as good as none. */
function parseSession(row: Buffer): SessionRecord | undefined {
  const record = parseRow(row) as Partial<SessionRecord> | undefined;
  if (record === undefined) return undefined;
  const { sid, ioNamespace, identity, follows, groups = [], turnedAt = '' } = record;
  const isSound =
    isText(sid) &&
    isText(ioNamespace) &&
    typeof identity === 'object' &&
    (identity as Identity | null) !== null &&
    typeof identity.isAdmin === 'boolean' &&
    isListOf(follows, (follow) => isListOf(follow, isText) && follow.length === 2) &&
    isListOf(groups, isText) &&
    isText(turnedAt);
  return isSound ? (record as SessionRecord) : undefined;
}

function parsePoll(row: Buffer): PollRecord | undefined {
  const record = parseRow(row) as Partial<PollRecord> | undefined;
  const { sockets, waiting } = record ?? {};
  const isSound =
    isListOf(
      sockets,
      (socket) =>
        Array.isArray(socket) &&
        isText(socket[0]) &&
        isText(socket[1]) &&
        (socket[2] === null || isText(socket[2])),
    ) && isListOf(waiting, isText);
  return isSound ? (record as PollRecord) : undefined;
}

function parseRow(row: Buffer): object | undefined {
  try {
    const value = JSON.parse(row.toString()) as { readonly atMs?: unknown } | null;
    return typeof value?.atMs === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isListOf<T>(value: unknown, isOne: (one: unknown) => one is T): value is readonly T[];
function isListOf(value: unknown, isOne: (one: unknown) => boolean): value is readonly unknown[];
function isListOf(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne);
}
