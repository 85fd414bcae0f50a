import type { Identity } from '../sessions/access.ts';
import { Expiry } from './expiry.ts';
import type { DurableHolder, DurableKind, DurableSession, Found } from './kind.ts';
import type { KindRows } from './kind-rows.ts';
import { OpenSession, type SessionEntry, type SessionTable } from './open-session.ts';
import { recoverSessions } from './recover.ts';
import type { DurableRow } from './row.ts';
import type { DurableServices } from './services.ts';
import { SessionEntries } from './session-entries.ts';
import { sweepOldest } from './sweep.ts';

export interface OpenOptions {
  /** Its owner's identity. */
  readonly identity: Identity;
  /** How long the session is kept once its holder has left; `undefined`: until it is removed. */
  readonly keepMs: number | undefined;
  /** False: it counts against no quota before it is saved. Default true. */
  readonly keeps?: boolean | undefined;
  /** It takes no place of a quota: it ends with its connection, and its rows are for a crash. Default false. */
  readonly isFree?: boolean | undefined;
}

export interface SessionPage<State> {
  readonly sessions: readonly { readonly key: string; readonly row: DurableRow; readonly state: State }[];
  /** The `after` of the next page; `undefined` on the last page. */
  readonly next: string | undefined;
}

/**
 * Sessions that outlive their connections, of one kind. Each has at most one owner, which holds its lease. Opening a
 * session takes it over, and the store refuses later writes of the former owner. Operations on one session run one
 * after the other, so two connections with one client id never overlap.
 *
 * How a protocol uses it:
 * 1. One `DurableSessions` per kind, made with `hub.durable`, the services that all kinds share. Call `start` before
 *    the first connection, `stop` after the last one.
 * 2. `open(key, holder, …)` takes the session over and returns its stored state (`found`). Restore from that: give
 *    `found.subscriptions[…].progress` to `session.subscribe`.
 * 3. `save()` before the server tells the client that its session is kept. It asks the holder for `state()` and
 *    `subscriptions()`.
 * 4. `saveSoon()` after each delivery and acknowledgement; costs one entry of a set. A crash causes repetitions.
 * 5. `leave()` when the client is gone, before its subscriptions are cancelled; `remove()` when the client gives the
 *    session up.
 * 6. `holder.lost` ends the connection: another owner has the session. During `taken`, call `leave`. A kind whose
 *    clients bring their own position needs fewer writes: `adopt()` after a return, `release()` in place of `leave()`.
 *
 * A message and rows in one transaction: `save(rows, commit)`, where `commit` publishes with `records` and `fences`; or
 * parts, with `session.partWrite` and `session.fences`.
 */
export class DurableSessions<State, Window = undefined> {
  readonly rows: KindRows<State, Window>;
  readonly #kind: DurableKind<State, Window>;
  readonly #services: DurableServices;
  readonly #entries: SessionEntries<State, Window>;
  readonly #expiry: Expiry<State, Window>;
  readonly #table: SessionTable<State, Window>;

  constructor(kind: DurableKind<State, Window>, services: DurableServices) {
    const { records, cluster, clock, log, saver } = services;
    const entries = new SessionEntries(kind, services, (subject) => this.#evict(subject));
    this.#kind = kind;
    this.#services = services;
    this.#entries = entries;
    this.#expiry = new Expiry(entries);
    this.rows = entries.rows;
    services.counts.set(kind.what, () => entries.quotas.count);
    this.#table = {
      kind,
      rows: this.rows,
      node: cluster.node,
      clock,
      log,
      saver,
      lane: entries.lane,
      write: async ({ records: rows, fences }) => {
        if (rows.length > 0) await records.write(rows, { fences });
      },
      count: (entry, identity, isFree) => this.#count(entry, identity, isFree),
      takeLease: (entry) => this.#entries.takeLease(entry),
      uncount: (entry) => this.#entries.uncount(entry),
      away: (entry, keepMs, wakeMs) => this.#expiry.away(entry, keepMs, wakeMs),
      awayAsBefore: (entry) => this.#expiry.watch(entry),
      settle: (entry) => this.#entries.settle(entry),
    };
  }

  /** The number of kept sessions, open or away. Only for kinds whose quota refuses. */
  get stored(): number {
    return this.#entries.quotas.count;
  }

  isOpen(key: string): boolean {
    return this.#entries.find(key)?.open !== undefined;
  }

  /** The holder that has the session open on this node. */
  holderOf(key: string): DurableHolder | undefined {
    return this.#entries.find(key)?.open?.holder;
  }

  /**
   * Finds the stored sessions. Those that a crash left open are away from now on, and their deliveries so far are
   * marked.
   */
  async start(): Promise<void> {
    if (this.#kind.quota.policy === 'evict') return;
    for await (const recovered of recoverSessions(this.#kind, this.rows, this.#services)) {
      const { key, row, agoMs } = recovered;
      const entry = this.#entries.entryOf(key);
      entry.hasRows = true;
      if (row.keepMs === 0) this.#entries.quotas.addFree(entry);
      else this.#entries.quotas.add(entry, row.subject);
      const keepMs = row.keepMs && Math.max(0, row.keepMs - agoMs);
      this.#expiry.away(entry, keepMs, this.#kind.found?.(recovered));
      entry.awaySinceMs -= agoMs;
    }
  }

  /** @throws EverywireError `quota_exceeded` if a session of that key would be one too many */
  checkRoom(key: string, identity: Identity): void {
    if (this.#entries.find(key)?.isCounted !== true) this.#entries.quotas.check(identity);
  }

  /**
   * Takes the session over. Nothing is written before its first `save`.
   * @throws EverywireError `quota_exceeded`, `store_unavailable`, `internal` for a row that cannot be read and refuses
   */
  async open(
    key: string,
    holder: DurableHolder,
    { identity, keepMs, keeps = true, isFree = false }: OpenOptions,
  ): Promise<{ readonly session: DurableSession; readonly found: Found<State, Window> | undefined }> {
    return this.#entries.exclusively(key, async (entry) => {
      const wasCounted = entry.isCounted;
      // Before the first `await`: otherwise many opens at once would all find room.
      if (keeps) this.#count(entry, identity, isFree);
      try {
        await this.#entries.takeFromHolder(entry);
        // A session that this process does not know has no rows, and one that is not kept needs no lease yet.
        const mayBeThere = wasCounted || this.#mayBeUnknown;
        if (keeps || mayBeThere) await this.#entries.takeLease(entry);
        let loaded = mayBeThere ? await this.#entries.load(entry) : undefined;
        if (loaded !== undefined) entry.hasRows = true;
        if (loaded !== undefined && this.#expiry.isExpired(entry, loaded.row)) {
          if (this.#kind.due !== undefined) await this.#expiry.endExpired(entry, loaded);
          loaded = undefined;
          if (keeps) this.#count(entry, identity, isFree);
        }
        const session = new OpenSession(this.#table, entry, { holder, identity, keepMs, isFree });
        entry.unwatch();
        entry.open = session;
        return { session, found: loaded?.found };
      } catch (cause) {
        if (keeps && !wasCounted) this.#entries.uncount(entry);
        throw cause;
      }
    });
  }

  /** Ends a session, also one that is open, and removes its rows. */
  async remove(key: string): Promise<void> {
    await this.#entries.exclusively(key, async (entry) => {
      const isKnown = entry.isCounted || entry.unsaved !== undefined || entry.open !== undefined;
      if (!isKnown && this.#kind.quota.policy === 'refuse') return;
      await this.#entries.takeFromHolder(entry);
      await this.#entries.takeLease(entry);
      await this.#entries.removeRows(entry, this.#entries.write);
    });
  }

  /**
   * Ends a session as if its time were over, also one that a connection has open.
   * @returns false: there is no such session
   */
  async end(key: string): Promise<boolean> {
    return this.#entries.exclusively(key, async (entry) => {
      const isKnown = entry.isCounted || entry.unsaved !== undefined || entry.open !== undefined;
      if (!isKnown && !this.#mayBeUnknown) return false;
      await this.#entries.takeFromHolder(entry, 'removed');
      await this.#entries.takeLease(entry);
      const loaded = await this.#entries.load(entry);
      if (loaded !== undefined && this.#kind.due === undefined)
        await this.#entries.removeRows(entry, this.#entries.write);
      else await this.#expiry.endExpired(entry, loaded);
      return isKnown || loaded !== undefined;
    });
  }

  /** Removes expired sessions, and of a kind that evicts also the oldest ones above the quota. */
  async sweep(): Promise<void> {
    if (this.#kind.quota.policy === 'evict') {
      await sweepOldest(this.#kind, {
        rows: this.rows,
        records: this.#services.records,
        clock: this.#services.clock,
        isStopped: () => this.#expiry.isStopped,
        isKnown: (key) => this.#entries.find(key) !== undefined,
        touch: (key) => this.#entries.find(key)?.open?.saveSoon(),
      });
      return;
    }
    this.expire();
  }

  /** Expired sessions are removed within a moment, and no longer count. */
  expire(): void {
    this.#expiry.expire();
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

  /** Resolves when no operation is in progress, and all unsaved rows are saved. */
  async stop(): Promise<void> {
    this.#expiry.stop();
    await this.#entries.idle();
    await this.#services.saver.flush();
  }

  /** @throws EverywireError `quota_exceeded` */
  #count(entry: SessionEntry<State, Window>, identity: Identity, isFree: boolean): void {
    if (isFree) this.#entries.quotas.addFree(entry);
    else this.#entries.quotas.take(entry, identity);
  }

  /** Ends the session that is away for longest. Its will is published as when it expires. */
  #evict(subject: string | undefined): boolean {
    let oldest: SessionEntry<State, Window> | undefined;
    for (const entry of this.#entries.values()) {
      const isAway = entry.open === undefined && entry.tail === undefined;
      if (!isAway || !entry.isCounted || entry.isFree || entry.isEvicted) continue;
      if (subject !== undefined && entry.subject !== subject) continue;
      if (oldest === undefined || entry.awaySinceMs < oldest.awaySinceMs) oldest = entry;
    }
    if (oldest === undefined) return false;
    const { key } = oldest;
    this.#services.log.info({ key }, `the longest absent of the ${this.#kind.what} ended to make room`);
    this.#entries.quotas.evict(oldest);
    this.#expiry.endNow(oldest);
    return true;
  }

  /** The store may have sessions that this process does not know. */
  get #mayBeUnknown(): boolean {
    const { quota, unreadable } = this.#kind;
    return this.#services.isShared || quota.policy === 'evict' || unreadable === 'refuse';
  }
}
