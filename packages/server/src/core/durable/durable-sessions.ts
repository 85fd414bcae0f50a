import type { Identity } from '../sessions/access.ts';
import { Deadlines } from '../deadlines.ts';
import type { Lease } from '../seams/cluster.ts';
import { Entry } from './entry.ts';
import type { Commit, DurableHolder, DurableKind, DurableSession, Found, ParkedSession } from './kind.ts';
import { KindRows, type Loaded } from './kind-rows.ts';
import { OpenSession, type SessionEntry, type SessionTable } from './open-session.ts';
import { Quotas } from './quotas.ts';
import { leftByCrash, recoverSessions } from './recover.ts';
import type { DurableRow } from './row.ts';
import type { DurableServices } from './services.ts';
import type { SaveLane } from './saver.ts';
import { StaleWrite } from '../cluster/stale-write.ts';
import { sweepOldest } from './sweep.ts';

/** Before what could not be ended is tried again. */
const retryMs = 5_000;

export interface OpenOptions {
  /** Whose it is. */
  readonly identity: Identity;
  /** How long the session is kept once its holder has left; `undefined`: until it is removed. */
  readonly keepMs: number | undefined;
  /** False: it counts against no quota before it is saved. Default true. */
  readonly keeps?: boolean | undefined;
}

export interface SessionPage<State> {
  readonly sessions: readonly { readonly key: string; readonly row: DurableRow; readonly state: State }[];
  /** To ask for the next page with; `undefined` when there is none. */
  readonly next: string | undefined;
}

/**
 * Sessions that outlive their connections, of one kind. Each has at most one owner, who holds its lease: whoever opens it
 * takes it over, and what the former owner still writes is refused. What is done to one session is done one after the
 * other, so two connections with one client id never meet halfway.
 *
 * How a protocol uses it:
 * 1. One `DurableSessions` per kind, made with `hub.durable`, the services that all kinds share. Call `start` before anybody connects, `stop` after all have
 *    gone.
 * 2. `open(key, holder, …)` takes the session over and returns what there was of it (`found`). Restore from that: give
 *    `found.subscriptions[…].progress` to `session.subscribe`.
 * 3. `save()` before the client is told that its session is kept. It asks the holder for `state()` and `subscriptions()`.
 * 4. `saveSoon()` after each delivery and acknowledgement; costs one entry of a set. A crash costs repetitions.
 * 5. `leave()` when the client is gone, before its subscriptions are cancelled; `remove()` when it gives the session up.
 * 6. `holder.lost` ends the connection: somebody else has the session. During `taken`, call `leave`.
 * A kind whose clients bring their own position needs fewer writes: `adopt()` after a return, `release()` in place of `leave()`.
 *
 * A message and rows in one transaction: `save(rows, commit)`, where `commit` publishes with `records` and `fences`; or
 * parts, with `session.partWrite` and `session.fences`.
 */
export class DurableSessions<State, Window = undefined> {
  readonly rows: KindRows<State, Window>;
  readonly #kind: DurableKind<State, Window>;
  readonly #services: DurableServices;
  readonly #entries = new Map<string, SessionEntry<State, Window>>();
  readonly #quotas: Quotas;
  readonly #lane: SaveLane;
  readonly #deadlines: Deadlines<SessionEntry<State, Window>>;
  readonly #table: SessionTable<State, Window>;
  #isStopped = false;

  constructor(kind: DurableKind<State, Window>, services: DurableServices) {
    const { records, cluster, clock, log, saver } = services;
    this.#kind = kind;
    this.#services = services;
    this.rows = new KindRows(kind, records, log);
    this.#quotas = new Quotas(kind.quota, kind.what);
    this.#lane = saver.addLane(kind.bytesPerSave);
    this.#deadlines = new Deadlines({ clock, onDue: (entry) => this.#onDue(entry) });
    this.#table = {
      kind,
      rows: this.rows,
      node: cluster.node,
      clock,
      log,
      saver,
      lane: this.#lane,
      write: async ({ records: rows, fences }) => {
        if (rows.length > 0) await records.write(rows, { fences });
      },
      count: (entry, identity) => this.#quotas.take(entry, identity),
      takeLease: (entry) => this.#takeLease(entry),
      uncount: (entry) => this.#uncount(entry),
      away: (entry, keepMs, wakeMs) => this.#away(entry, keepMs, wakeMs),
      awayAsBefore: (entry) => this.#watch(entry),
      settle: (entry) => this.#settle(entry),
    };
  }

  /** Sessions that are kept, open or away. Of meaning only where the quota refuses. */
  get stored(): number {
    return this.#quotas.count;
  }

  isOpen(key: string): boolean {
    return this.#entries.get(key)?.open !== undefined;
  }

  /** Who has it open here. */
  holderOf(key: string): DurableHolder | undefined {
    return this.#entries.get(key)?.open?.holder;
  }

  /** Finds what there is. Sessions that a crash left open are away from now on; what they delivered by then is marked. */
  async start(): Promise<void> {
    if (this.#kind.quota.policy === 'evict') return;
    for await (const recovered of recoverSessions(this.#kind, this.rows, this.#services)) {
      const { key, row, agoMs } = recovered;
      const entry = this.#entryOf(key);
      entry.hasRows = true;
      this.#quotas.add(entry, row.subject);
      const keepMs = row.keepMs && Math.max(0, row.keepMs - agoMs);
      this.#away(entry, keepMs, this.#kind.found?.(recovered));
    }
  }

  /** @throws EverywireError `quota_exceeded` if a session of that key would be one too many */
  checkRoom(key: string, identity: Identity): void {
    if (this.#entries.get(key)?.isCounted !== true) this.#quotas.check(identity);
  }

  /**
   * Takes the session over. Nothing is written before its first `save`.
   * @throws EverywireError `quota_exceeded`, `store_unavailable`, `internal` for a row that cannot be read and refuses
   */
  async open(
    key: string,
    holder: DurableHolder,
    { identity, keepMs, keeps = true }: OpenOptions,
  ): Promise<{ readonly session: DurableSession; readonly found: Found<State, Window> | undefined }> {
    return this.#exclusively(key, async (entry) => {
      const wasCounted = entry.isCounted;
      // Before anything is awaited: many that come at once would all find room.
      if (keeps) this.#quotas.take(entry, identity);
      try {
        await this.#end(entry);
        // What is not known cannot be there, and what nobody keeps needs no lease yet.
        const mayBeThere = wasCounted || this.#mayBeUnknown;
        if (keeps || mayBeThere) await this.#takeLease(entry);
        let loaded = mayBeThere ? await this.#load(entry) : undefined;
        if (loaded !== undefined) entry.hasRows = true;
        if (loaded !== undefined && this.#isExpired(entry, loaded.row)) {
          if (this.#kind.due !== undefined) await this.#endExpired(entry, loaded);
          loaded = undefined;
          if (keeps) this.#quotas.take(entry, identity);
        }
        const session = new OpenSession(this.#table, entry, { holder, identity, keepMs });
        this.#unwatch(entry);
        entry.open = session;
        return { session, found: loaded?.found };
      } catch (cause) {
        if (keeps && !wasCounted) this.#uncount(entry);
        throw cause;
      }
    });
  }

  /** Ends a session, whoever has it open, and removes its rows. */
  async remove(key: string): Promise<void> {
    await this.#exclusively(key, async (entry) => {
      const isKnown = entry.isCounted || entry.unsaved !== undefined || entry.open !== undefined;
      if (!isKnown && this.#kind.quota.policy === 'refuse') return;
      await this.#end(entry);
      await this.#takeLease(entry);
      await this.#removeRows(entry, this.#write);
    });
  }

  /** Removes what has expired, and of a kind that evicts the oldest of those that are too many. */
  async sweep(): Promise<void> {
    if (this.#kind.quota.policy === 'evict') {
      await sweepOldest(this.#kind, {
        rows: this.rows,
        records: this.#services.records,
        clock: this.#services.clock,
        isStopped: () => this.#isStopped,
        isKnown: (key) => this.#entries.has(key),
        touch: (key) => this.#entries.get(key)?.open?.saveSoon(),
      });
      return;
    }
    this.expire();
  }

  /** What has expired by now is removed within a moment, and counts no more. */
  expire(): void {
    const nowMs = this.#services.clock.monotonicMs();
    for (const entry of this.#entries.values()) {
      if (entry.open === undefined && Math.min(entry.expiresAtMs, entry.wakesAtMs) <= nowMs)
        this.#onDue(entry);
    }
  }

  /** A page of sessions as they were saved last, by key, after the key `after`. Unreadable ones are left out. */
  async list(after: string | undefined, limit: number): Promise<SessionPage<State>> {
    const page = await this.#services.records.list(this.#kind.table, '', after, limit);
    const sessions = page.flatMap(({ key, value }) => {
      const decoded = this.rows.decode(key, value);
      return decoded === undefined ? [] : [{ key, ...decoded }];
    });
    return { sessions, next: page.length < limit ? undefined : page.at(-1)?.key };
  }

  /** Resolves when nothing is being done to any session, and what was left is saved. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (;;) {
      const pending = [...this.#entries.values()].flatMap(({ tail, ending }) =>
        [tail, ending].filter((one) => one !== undefined),
      );
      if (pending.length === 0) break;
      await Promise.all(pending);
    }
    await this.#services.saver.flush();
  }

  #entryOf(key: string): SessionEntry<State, Window> {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = new Entry(key, this.#onSaved);
      this.#entries.set(key, entry);
    }
    return entry;
  }

  async #exclusively<T>(key: string, run: (entry: SessionEntry<State, Window>) => Promise<T>): Promise<T> {
    const entry = this.#entryOf(key);
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
        this.#settle(entry);
      }
    }
  }

  /** Sessions may be in the store of which this process does not know. */
  get #mayBeUnknown(): boolean {
    const { quota, unreadable } = this.#kind;
    return this.#services.isShared || quota.policy === 'evict' || unreadable === 'refuse';
  }

  /** Who has the session open here leaves it, and what is unsaved of it is saved. */
  async #end(entry: SessionEntry<State, Window>): Promise<void> {
    const before = entry.open;
    if (before !== undefined) {
      try {
        await before.tellLost('taken');
      } catch (cause) {
        this.#services.log.error(
          { err: cause, key: entry.key },
          'a durable session did not end as it should',
        );
      }
      before.forsake();
    }
    await entry.ending;
    await this.#saveRest(entry);
  }

  /** From here on nobody else writes to this session: what another owner still writes is refused. */
  async #takeLease(entry: SessionEntry<State, Window>): Promise<void> {
    // The lease that it had here is taken over too, and its loss is none of the session's.
    entry.lease = undefined;
    const lease = await this.#services.cluster.lease(this.#leaseName(entry), { takeOver: true });
    this.#hold(entry, lease!);
  }

  /** False: another node has the session. */
  async #takeIfFree(entry: SessionEntry<State, Window>): Promise<boolean> {
    const lease = await this.#services.cluster.lease(this.#leaseName(entry));
    if (lease !== undefined) this.#hold(entry, lease);
    return lease !== undefined;
  }

  #hold(entry: SessionEntry<State, Window>, lease: Lease): void {
    entry.lease = lease;
    if (!this.#services.isShared) return;
    lease.lost.addEventListener('abort', () => {
      if (entry.lease === lease) entry.stale();
    });
  }

  /** What was left is durable, or refused because the lease was lost, before anybody reads it again. */
  async #saveRest(entry: SessionEntry<State, Window>): Promise<void> {
    const rest = entry.unsaved && entry.save();
    if (rest === undefined) return;
    this.#lane.dirty.delete(entry);
    try {
      await this.#write(rest);
      entry.saved(rest);
    } catch (cause) {
      if (cause instanceof StaleWrite) {
        entry.stale();
        return;
      }
      this.#services.saver.saveSoon(this.#lane, entry);
      throw cause;
    }
  }

  #leaseName({ key }: SessionEntry<State, Window>): string {
    return `${this.#kind.table}/${key}`;
  }

  #isExpired(entry: SessionEntry<State, Window>, { sinceMs, keepMs }: DurableRow): boolean {
    const { clock } = this.#services;
    if (this.#kind.quota.policy === 'refuse') return entry.expiresAtMs <= clock.monotonicMs();
    return keepMs !== undefined && clock.nowMs() - sinceMs > keepMs;
  }

  #load(entry: SessionEntry<State, Window>): Promise<Loaded<State, Window> | undefined> {
    return this.rows.load(entry.key, this.#services.headSeq());
  }

  #away(entry: SessionEntry<State, Window>, keepMs: number | undefined, wakeMs: number | undefined): void {
    this.#setDue(entry, keepMs, wakeMs);
    this.#watch(entry);
  }

  #setDue(entry: SessionEntry<State, Window>, keepMs: number | undefined, wakeMs: number | undefined): void {
    const nowMs = this.#services.clock.monotonicMs();
    entry.expiresAtMs = keepMs === undefined ? Number.POSITIVE_INFINITY : nowMs + keepMs;
    entry.wakesAtMs = wakeMs === undefined ? Number.POSITIVE_INFINITY : nowMs + wakeMs;
  }

  #watch(entry: SessionEntry<State, Window>): void {
    const dueMs = Math.min(entry.expiresAtMs, entry.wakesAtMs);
    if (!entry.isCounted || dueMs === Number.POSITIVE_INFINITY) {
      this.#unwatch(entry);
      return;
    }
    this.#lookAgain(entry, Math.max(0, dueMs - this.#services.clock.monotonicMs()));
  }

  #unwatch(entry: SessionEntry<State, Window>): void {
    entry.deadline?.cancel();
    entry.deadline = undefined;
  }

  /** Its rows are gone, or were never written. */
  #uncount(entry: SessionEntry<State, Window>): void {
    entry.hasRows = false;
    this.#quotas.remove(entry);
  }

  #settle(entry: SessionEntry<State, Window>): void {
    const isBusy = entry.open ?? entry.unsaved ?? entry.ending ?? entry.tail;
    if (isBusy !== undefined) return;
    // Its holder left before the first save.
    if (!entry.hasRows) this.#uncount(entry);
    const { lease } = entry;
    entry.lease = undefined;
    lease
      ?.release()
      .catch((cause: unknown) =>
        this.#services.log.debug(
          { err: cause, key: entry.key },
          'a lease could not be released; it ends by itself',
        ),
      );
    if (entry.isCounted) return;
    this.#unwatch(entry);
    if (this.#entries.get(entry.key) === entry) this.#entries.delete(entry.key);
  }

  #onDue(entry: SessionEntry<State, Window>): void {
    if (this.#isStopped || entry.open !== undefined) return;
    if (this.#kind.due !== undefined) {
      void this.#due(entry);
      return;
    }
    this.#unwatch(entry);
    this.#quotas.remove(entry);
    void this.#forget(entry);
  }

  /** What has expired is gone for everybody from now on; its rows go soon, however often that has to be tried. */
  async #forget(forgotten: SessionEntry<State, Window>): Promise<void> {
    try {
      await this.#exclusively(forgotten.key, async (entry) => {
        // Whoever opened it meanwhile began it anew.
        if (entry.open !== undefined || entry.isCounted) return;
        if (!(await this.#mayEnd(entry))) return;
        entry.hasRows = false;
        entry.unsaved = this.rows.removal(entry.key);
        this.#services.saver.saveSoon(this.#lane, entry);
      });
    } catch (cause) {
      this.#services.log.warn(
        { err: cause, key: forgotten.key },
        'an expired durable session was not removed',
      );
    }
  }

  async #due(due: SessionEntry<State, Window>): Promise<void> {
    try {
      await this.#exclusively(due.key, async (entry) => {
        // Its last holder may still be writing what is read here.
        await entry.ending;
        const nowMs = this.#services.clock.monotonicMs();
        const isExpired = entry.expiresAtMs <= nowMs;
        if (entry.open !== undefined || !entry.isCounted || (!isExpired && entry.wakesAtMs > nowMs)) return;
        if (!(await this.#mayEnd(entry))) return;
        await this.#saveRest(entry);
        const loaded = await this.#load(entry);
        if (loaded === undefined || isExpired) {
          await this.#endExpired(entry, loaded);
          return;
        }
        await this.#kind.due!(this.#parked(entry, loaded, false));
        entry.wakesAtMs = Number.POSITIVE_INFINITY;
        this.#watch(entry);
      });
    } catch (cause) {
      this.#services.log.error(
        { err: cause, key: due.key },
        'a durable session could not be ended; it is tried again',
      );
      this.#lookAgain(due, retryMs);
    }
  }

  /** Takes the lease. False: another node has the session, or had it since, so that it is due later. */
  async #mayEnd(entry: SessionEntry<State, Window>): Promise<boolean> {
    if (entry.lease === undefined && !(await this.#takeIfFree(entry))) {
      this.#keepCounted(entry);
      this.#lookAgain(entry, retryMs);
      return false;
    }
    if (!this.#services.isShared) return true;
    const bytes = await this.#services.records.get(this.#kind.table, entry.key);
    const decoded = bytes && this.rows.decode(entry.key, bytes);
    const { node } = this.#services.cluster;
    if (decoded?.row.node === undefined || decoded.row.node === node) return true;
    await this.#adopt(entry, decoded);
    if (Math.min(entry.expiresAtMs, entry.wakesAtMs) <= this.#services.clock.monotonicMs()) return true;
    this.#keepCounted(entry);
    this.#watch(entry);
    return false;
  }

  /** Another node had it last, and has left it or is gone: its row says when it is due. */
  async #adopt(
    entry: SessionEntry<State, Window>,
    { row, state }: { readonly row: DurableRow; readonly state: State },
  ): Promise<void> {
    const { key } = entry;
    const nowMs = this.#services.clock.nowMs();
    const isLeft = row.presence === 'away';
    if (!isLeft) {
      const away = leftByCrash(row, this.#services);
      await this.#write({
        records: [this.rows.rowWrite(key, away, entry.lease!.token)],
        fences: entry.fences,
      });
    }
    const agoMs = isLeft ? Math.max(0, nowMs - row.sinceMs) : 0;
    const keepMs = row.keepMs && Math.max(0, row.keepMs - agoMs);
    this.#setDue(entry, keepMs, this.#kind.found?.({ key, row, state, agoMs }));
  }

  #keepCounted(entry: SessionEntry<State, Window>): void {
    if (!entry.isCounted) this.#quotas.add(entry, entry.subject);
  }

  #lookAgain(entry: SessionEntry<State, Window>, delayMs: number): void {
    if (entry.deadline === undefined) entry.deadline = this.#deadlines.start(entry, delayMs);
    else entry.deadline.restart(delayMs);
  }

  async #endExpired(
    entry: SessionEntry<State, Window>,
    loaded: Loaded<State, Window> | undefined,
  ): Promise<void> {
    if (loaded !== undefined) await this.#kind.due!(this.#parked(entry, loaded, true));
    if (entry.isCounted) await this.#removeRows(entry, this.#write);
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
      remove: (commit = this.#write) => this.#removeRows(entry, commit),
      keep: async (changed, commit = this.#write) => {
        const write = this.rows.rowWrite(entry.key, { ...row, ...changed }, entry.lease!.token);
        await commit({ records: [write], fences: entry.fences });
      },
    };
  }

  async #removeRows(entry: SessionEntry<State, Window>, commit: Commit): Promise<void> {
    const records = await this.rows.wholeRemoval(entry.key);
    await commit({ records, fences: entry.fences });
    entry.unsaved = undefined;
    this.#lane.dirty.delete(entry);
    this.#unwatch(entry);
    this.#uncount(entry);
  }

  readonly #onSaved = (entry: SessionEntry<State, Window>): void => this.#settle(entry);

  readonly #write: Commit = ({ records, fences }) => this.#services.records.write(records, { fences });
}
