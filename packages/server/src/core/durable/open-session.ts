import { EverywireError } from '@everywire/protocol';
import type { Identity } from '../sessions/access.ts';
import type { Clock } from '../clock.ts';
import type { RecordWrite } from '../seams/store.ts';
import type { Log } from '../seams/log.ts';
import type { Entry, OpenHalf } from './entry.ts';
import type { Commit, DurableHolder, DurableKind, DurableSession, Leaving } from './kind.ts';
import type { KindRows } from './kind-rows.ts';
import type { DurableRow, Presence } from './row.ts';
import type { Save, SaveLane, Saver } from './saver.ts';
import { StaleWrite } from '../cluster/stale-write.ts';

/** What an open session needs of the collection of its kind. */
export interface SessionTable<State, Window> {
  readonly kind: DurableKind<State, Window>;
  readonly rows: KindRows<State, Window>;
  readonly node: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly saver: Saver;
  readonly lane: SaveLane;
  /** Writes rows by themselves. */
  readonly write: Commit;
  /** @throws EverywireError `quota_exceeded` */
  count(entry: SessionEntry<State, Window>, identity: Identity, isFree: boolean): void;
  uncount(entry: SessionEntry<State, Window>): void;
  takeLease(entry: SessionEntry<State, Window>): Promise<void>;
  /** It has no holder: it is kept for `keepMs`, and woken after `wakeMs`. */
  away(entry: SessionEntry<State, Window>, keepMs: number | undefined, wakeMs: number | undefined): void;
  /** It was opened and left before it was saved: its former deadlines count again. */
  awayAsBefore(entry: SessionEntry<State, Window>): void;
  /** No operation or write is left: releases its lease, and forgets an entry that does not count. */
  settle(entry: SessionEntry<State, Window>): void;
}

export type SessionEntry<State, Window> = Entry<OpenSession<State, Window>>;

export class OpenSession<State, Window> implements DurableSession, OpenHalf {
  readonly key: string;
  keepMs: number | undefined;
  identity: Identity;
  readonly holder: DurableHolder;
  readonly #table: SessionTable<State, Window>;
  readonly #entry: SessionEntry<State, Window>;
  readonly #isFree: boolean;
  /** The holder has written its rows, or adopted those of its predecessor. */
  #isSaved = false;

  constructor(
    table: SessionTable<State, Window>,
    entry: SessionEntry<State, Window>,
    options: {
      readonly holder: DurableHolder;
      readonly identity: Identity;
      readonly keepMs: number | undefined;
      readonly isFree: boolean;
    },
  ) {
    this.#table = table;
    this.#entry = entry;
    this.key = entry.key;
    this.holder = options.holder;
    this.identity = options.identity;
    this.keepMs = options.keepMs;
    this.#isFree = options.isFree;
  }

  get isOpen(): boolean {
    return this.#entry.open === this;
  }

  get fences(): Save['fences'] {
    this.#checkOpen();
    return this.#entry.fences;
  }

  movingRows(): readonly RecordWrite[] | undefined {
    if (!this.#isSaved) return undefined;
    return this.#rows(this.#table.kind.windowTable === undefined ? 'all' : 'window', 'open');
  }

  partWrite(part: string, value: Buffer | undefined): RecordWrite {
    return this.#table.rows.partWrite(this.key, part, value);
  }

  async save(rows: 'all' | 'row' | 'window' = 'all', commit: Commit = this.#table.write): Promise<void> {
    this.#checkOpen();
    const entry = this.#entry;
    const { lane, saver } = this.#table;
    const isFirst = !this.#isSaved;
    const wasCounted = entry.isCounted;
    this.#table.count(entry, this.identity, this.#isFree);
    if (entry.lease === undefined) await this.#takeLease(wasCounted);
    const save = { records: this.#rows(rows, 'open'), fences: entry.fences };
    if (rows !== 'row') lane.dirty.delete(entry);
    // A holder that leaves during this write leaves a session with rows.
    this.#isSaved = true;
    const hadRows = entry.hasRows;
    entry.hasRows = true;
    const before = entry.unsaved;
    try {
      await commit(save);
    } catch (cause) {
      if (cause instanceof StaleWrite) this.loseTo('stale');
      if (this.isOpen && !isFirst) saver.saveSoon(lane, entry);
      if (this.isOpen && isFirst) {
        this.#isSaved = false;
        entry.hasRows = hadRows;
        if (!wasCounted) this.#table.uncount(entry);
      }
      throw cause instanceof StaleWrite ? taken() : cause;
    }
    if (entry.unsaved === before) entry.unsaved = undefined;
  }

  /** It was opened as a session that is not kept. */
  async #takeLease(wasCounted: boolean): Promise<void> {
    try {
      await this.#table.takeLease(this.#entry);
      this.#checkOpen();
    } catch (cause) {
      if (!wasCounted) this.#table.uncount(this.#entry);
      throw cause;
    }
  }

  saveSoon(): void {
    if (this.#isSaved && this.isOpen) this.#table.saver.saveSoon(this.#table.lane, this.#entry);
  }

  async leave({ isDrain = false, wakeMs, soon = false }: Leaving = {}, commit?: Commit): Promise<void> {
    if (!this.isOpen) return;
    const entry = this.#entry;
    const { lane, saver } = this.#table;
    if (!this.#isSaved) {
      this.#abandon();
      return;
    }
    const records = this.#rows('all', isDrain ? 'drained' : 'away');
    const save = { records, fences: entry.fences };
    entry.open = undefined;
    this.#table.away(entry, this.keepMs, wakeMs);
    if (commit === undefined) entry.unsaved = records;
    if (soon) {
      saver.saveSoon(lane, entry);
      return;
    }
    lane.dirty.delete(entry);
    await this.#end(async () => {
      try {
        await (commit ?? this.#table.write)(save);
        entry.saved(save);
      } catch (cause) {
        if (cause instanceof StaleWrite) entry.stale();
        else if (commit === undefined) saver.saveSoon(lane, entry);
        throw cause;
      }
    });
  }

  async clear(commit: Commit = this.#table.write): Promise<void> {
    this.#checkOpen();
    const entry = this.#entry;
    const wasSaved = this.#isSaved;
    this.#table.lane.dirty.delete(entry);
    this.#isSaved = false;
    await this.#end(async () => {
      // Without a lease it was never saved.
      const records = entry.lease === undefined ? [] : await this.#table.rows.wholeRemoval(this.key);
      try {
        await commit({ records, fences: entry.fences });
      } catch (cause) {
        if (cause instanceof StaleWrite) this.loseTo('stale');
        else this.#isSaved = wasSaved;
        throw cause instanceof StaleWrite ? taken() : cause;
      }
      entry.unsaved = undefined;
      this.#table.uncount(entry);
    });
  }

  async remove(commit?: Commit): Promise<void> {
    await this.clear(commit);
    await this.leave();
  }

  adopt(): void {
    this.#checkOpen();
    this.#isSaved = true;
    this.#entry.hasRows = true;
  }

  release(): void {
    if (!this.isOpen) return;
    if (this.#isSaved) this.forsake();
    else this.#abandon();
  }

  removeSoon(): void {
    if (!this.isOpen) return;
    const entry = this.#entry;
    // It has no rows in the store, and no write is pending.
    if (!this.#isSaved && !entry.isCounted) {
      this.#abandon();
      return;
    }
    entry.open = undefined;
    entry.unsaved = this.#table.rows.removal(this.key);
    this.#table.uncount(entry);
    this.#table.saver.saveSoon(this.#table.lane, entry);
  }

  loseTo(why: 'stale'): void {
    if (!this.isOpen) return;
    this.forsake();
    this.#table.log.warn({ key: this.key }, 'a durable session was taken over by another owner');
    this.tellLost(why).catch((cause: unknown) =>
      this.#table.log.error({ err: cause, key: this.key }, 'a durable session did not end as it should'),
    );
  }

  /** Ends the session as a crash would: its last saved rows stay. */
  forsake(): void {
    const entry = this.#entry;
    if (entry.open !== this) return;
    entry.open = undefined;
    this.#table.lane.dirty.delete(entry);
    this.#table.away(entry, this.keepMs, undefined);
    this.#table.settle(entry);
  }

  async tellLost(why: 'taken' | 'removed' | 'stale'): Promise<void> {
    await this.holder.lost(why);
  }

  #abandon(): void {
    const entry = this.#entry;
    const { lane, saver } = this.#table;
    entry.open = undefined;
    this.#table.awayAsBefore(entry);
    if (entry.unsaved === undefined) this.#table.settle(entry);
    else saver.saveSoon(lane, entry);
  }

  /** The next open of this session waits until this is done. */
  async #end(work: () => Promise<void>): Promise<void> {
    const entry = this.#entry;
    const ending = work();
    const ended = ending.catch(() => undefined);
    entry.ending = ended;
    try {
      await ending;
    } finally {
      if (entry.ending === ended) entry.ending = undefined;
      this.#table.settle(entry);
    }
  }

  #rows(which: 'all' | 'row' | 'window', presence: Presence): readonly RecordWrite[] {
    const { rows, kind } = this.#table;
    const hasWindow = kind.windowTable !== undefined;
    const writes: RecordWrite[] = [];
    const subscriptions = hasWindow && which === 'row' ? [] : this.holder.subscriptions();
    if (!hasWindow || which !== 'window') {
      const row: DurableRow = {
        node: this.#table.node,
        presence,
        sinceMs: this.#table.clock.nowMs(),
        keepMs: this.keepMs,
        subject: this.identity.subject,
        rights: this.holder.rights?.(),
        maybeDeliveredThroughSeq: 0,
        subscriptions: hasWindow ? [] : subscriptions,
        state: this.holder.state(),
      };
      writes.push(rows.rowWrite(this.key, row, this.#entry.lease!.token));
    }
    if (hasWindow && which !== 'row')
      writes.push(rows.windowWrite(this.key, { subscriptions, state: this.holder.window?.() }));
    return writes;
  }

  #checkOpen(): void {
    if (!this.isOpen) throw taken();
  }
}

function taken(): EverywireError {
  return new EverywireError('session_taken', 'This session continues on another connection, or has ended.');
}
