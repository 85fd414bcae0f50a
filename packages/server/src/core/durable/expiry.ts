import { Deadlines } from '../deadlines.ts';
import type { ParkedSession } from './kind.ts';
import type { Loaded } from './kind-rows.ts';
import type { SessionEntry } from './open-session.ts';
import { leftByCrash } from './recover.ts';
import type { DurableRow } from './row.ts';
import type { SessionEntries } from './session-entries.ts';

/** A session that could not be ended is looked at again after this. */
const retryMs = 5_000;

/** Ends sessions of one kind whose clients did not come back in time, and wakes those whose protocol asked for it. */
export class Expiry<State, Window> {
  readonly #entries: SessionEntries<State, Window>;
  readonly #deadlines: Deadlines<SessionEntry<State, Window>>;
  #isStopped = false;

  constructor(entries: SessionEntries<State, Window>) {
    this.#entries = entries;
    this.#deadlines = new Deadlines({ clock: entries.services.clock, onDue: (entry) => this.#onDue(entry) });
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Expired sessions are removed within a moment, and no longer count. */
  expire(): void {
    const nowMs = this.#entries.services.clock.monotonicMs();
    for (const entry of this.#entries.values()) {
      if (entry.open === undefined && Math.min(entry.expiresAtMs, entry.wakesAtMs) <= nowMs)
        this.#onDue(entry);
    }
  }

  /** The session has no holder from now on: it is kept for `keepMs`, and woken after `wakeMs`. */
  away(entry: SessionEntry<State, Window>, keepMs: number | undefined, wakeMs: number | undefined): void {
    entry.awaySinceMs = this.#entries.services.clock.monotonicMs();
    this.#setDue(entry, keepMs, wakeMs);
    this.watch(entry);
  }

  /** A session without a holder ends, as if its time were over. */
  endNow(entry: SessionEntry<State, Window>): void {
    entry.expiresAtMs = this.#entries.services.clock.monotonicMs();
    this.#onDue(entry);
  }

  #setDue(entry: SessionEntry<State, Window>, keepMs: number | undefined, wakeMs: number | undefined): void {
    const nowMs = this.#entries.services.clock.monotonicMs();
    entry.expiresAtMs = keepMs === undefined ? Number.POSITIVE_INFINITY : nowMs + keepMs;
    entry.wakesAtMs = wakeMs === undefined ? Number.POSITIVE_INFINITY : nowMs + wakeMs;
  }

  watch(entry: SessionEntry<State, Window>): void {
    const dueMs = Math.min(entry.expiresAtMs, entry.wakesAtMs);
    if (!entry.isCounted || dueMs === Number.POSITIVE_INFINITY) {
      entry.unwatch();
      return;
    }
    this.#lookAgain(entry, Math.max(0, dueMs - this.#entries.services.clock.monotonicMs()));
  }

  isExpired(entry: SessionEntry<State, Window>, { sinceMs, keepMs }: DurableRow): boolean {
    const { clock } = this.#entries.services;
    if (this.#entries.kind.quota.policy === 'refuse') return entry.expiresAtMs <= clock.monotonicMs();
    return keepMs !== undefined && clock.nowMs() - sinceMs > keepMs;
  }

  #onDue(entry: SessionEntry<State, Window>): void {
    if (this.#isStopped || entry.open !== undefined) return;
    if (this.#entries.kind.due !== undefined) {
      void this.#due(entry);
      return;
    }
    entry.unwatch();
    this.#entries.quotas.remove(entry);
    void this.#forget(entry);
  }

  /** An expired session cannot be opened any more; the saver removes its rows, and tries again until it can. */
  async #forget(forgotten: SessionEntry<State, Window>): Promise<void> {
    try {
      await this.#entries.exclusively(forgotten.key, async (entry) => {
        // A client opened it meanwhile, and started it anew.
        if (entry.open !== undefined || entry.isCounted) return;
        if (!(await this.#mayEnd(entry))) return;
        entry.hasRows = false;
        entry.unsaved = this.#entries.rows.removal(entry.key);
        this.#entries.services.saver.saveSoon(this.#entries.lane, entry);
      });
    } catch (cause) {
      this.#entries.services.log.warn(
        { err: cause, key: forgotten.key },
        'an expired durable session was not removed',
      );
    }
  }

  async #due(due: SessionEntry<State, Window>): Promise<void> {
    try {
      await this.#entries.exclusively(due.key, async (entry) => {
        // Its last holder may still write the rows that are read here.
        await entry.ending;
        const nowMs = this.#entries.services.clock.monotonicMs();
        const isExpired = entry.expiresAtMs <= nowMs;
        if (entry.open !== undefined || !entry.isCounted || (!isExpired && entry.wakesAtMs > nowMs)) return;
        if (!(await this.#mayEnd(entry))) return;
        await this.#entries.saveRest(entry);
        const loaded = await this.#entries.load(entry);
        if (loaded === undefined || isExpired) {
          await this.endExpired(entry, loaded);
          return;
        }
        await this.#entries.kind.due!(this.#parked(entry, loaded, false));
        entry.wakesAtMs = Number.POSITIVE_INFINITY;
        this.watch(entry);
      });
    } catch (cause) {
      this.#entries.services.log.error(
        { err: cause, key: due.key },
        'a durable session could not be ended; it is tried again',
      );
      this.#lookAgain(due, retryMs);
    }
  }

  /** Takes the lease. False: another node has the session, or had it since, so that it is due later. */
  async #mayEnd(entry: SessionEntry<State, Window>): Promise<boolean> {
    if (entry.lease === undefined && !(await this.#entries.takeIfFree(entry))) {
      this.#keepCounted(entry);
      this.#lookAgain(entry, retryMs);
      return false;
    }
    if (!this.#entries.services.isShared) return true;
    const bytes = await this.#entries.services.records.get(this.#entries.kind.table, entry.key);
    const decoded = bytes && this.#entries.rows.decode(entry.key, bytes);
    const { node } = this.#entries.services.cluster;
    if (decoded?.row.node === undefined || decoded.row.node === node) return true;
    await this.#adopt(entry, decoded);
    if (Math.min(entry.expiresAtMs, entry.wakesAtMs) <= this.#entries.services.clock.monotonicMs())
      return true;
    this.#keepCounted(entry);
    this.watch(entry);
    return false;
  }

  /** Another node had it last, and has left it or is gone: its row says when it is due. */
  async #adopt(
    entry: SessionEntry<State, Window>,
    { row, state }: { readonly row: DurableRow; readonly state: State },
  ): Promise<void> {
    const { key } = entry;
    const nowMs = this.#entries.services.clock.nowMs();
    const isLeft = row.presence === 'away';
    if (!isLeft) {
      const away = leftByCrash(row, this.#entries.services);
      await this.#entries.write({
        records: [this.#entries.rows.rowWrite(key, away, entry.lease!.token)],
        fences: entry.fences,
      });
    }
    const agoMs = isLeft ? Math.max(0, nowMs - row.sinceMs) : 0;
    const keepMs = row.keepMs && Math.max(0, row.keepMs - agoMs);
    this.#setDue(entry, keepMs, this.#entries.kind.found?.({ key, row, state, agoMs }));
  }

  #keepCounted(entry: SessionEntry<State, Window>): void {
    if (!entry.isCounted) this.#entries.quotas.add(entry, entry.subject);
  }

  #lookAgain(entry: SessionEntry<State, Window>, delayMs: number): void {
    if (entry.deadline === undefined) entry.deadline = this.#deadlines.start(entry, delayMs);
    else entry.deadline.restart(delayMs);
  }

  async endExpired(
    entry: SessionEntry<State, Window>,
    loaded: Loaded<State, Window> | undefined,
  ): Promise<void> {
    if (loaded !== undefined) await this.#entries.kind.due!(this.#parked(entry, loaded, true));
    if (entry.isCounted) await this.#entries.removeRows(entry, this.#entries.write);
  }

  #parked(
    entry: SessionEntry<State, Window>,
    { row, found }: Loaded<State, Window>,
    isExpired: boolean,
  ): ParkedSession<State, Window> {
    return {
      key: entry.key,
      found,
      isExpired,
      remove: (commit = this.#entries.write) => this.#entries.removeRows(entry, commit),
      keep: async (changed, commit = this.#entries.write) => {
        const write = this.#entries.rows.rowWrite(entry.key, { ...row, ...changed }, entry.lease!.token);
        await commit({ records: [write], fences: entry.fences });
      },
    };
  }
}
