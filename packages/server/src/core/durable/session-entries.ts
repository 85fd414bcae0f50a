import type { Lease } from '../seams/cluster.ts';
import { StaleWrite } from '../cluster/stale-write.ts';
import { Entry } from './entry.ts';
import type { Commit, DurableKind } from './kind.ts';
import { KindRows, type Loaded } from './kind-rows.ts';
import type { SessionEntry } from './open-session.ts';
import { Quotas } from './quotas.ts';
import type { SaveLane } from './saver.ts';
import type { DurableServices } from './services.ts';

/**
 * The sessions of one kind that this process knows: one operation at a time on each, its lease, its unsaved rows, and
 * whether it counts. An entry is forgotten when no operation is left and it does not count.
 */
export class SessionEntries<State, Window> {
  readonly kind: DurableKind<State, Window>;
  readonly services: DurableServices;
  readonly rows: KindRows<State, Window>;
  readonly quotas: Quotas;
  readonly lane: SaveLane;
  readonly #byKey = new Map<string, SessionEntry<State, Window>>();

  constructor(
    kind: DurableKind<State, Window>,
    services: DurableServices,
    evict: (subject: string | undefined) => boolean,
  ) {
    this.kind = kind;
    this.services = services;
    this.rows = new KindRows(kind, services.records, services.log);
    this.quotas = new Quotas(kind.quota, kind.what, evict);
    this.lane = services.saver.addLane(kind.bytesPerSave);
  }

  find(key: string): SessionEntry<State, Window> | undefined {
    return this.#byKey.get(key);
  }

  values(): Iterable<SessionEntry<State, Window>> {
    return this.#byKey.values();
  }

  /** Resolves when no operation on any session is in progress. */
  async idle(): Promise<void> {
    for (;;) {
      const pending = [...this.#byKey.values()].flatMap(({ tail, ending }) =>
        [tail, ending].filter((one) => one !== undefined),
      );
      if (pending.length === 0) return;
      await Promise.all(pending);
    }
  }

  entryOf(key: string): SessionEntry<State, Window> {
    let entry = this.#byKey.get(key);
    if (entry === undefined) {
      entry = new Entry(key, this.#onSaved);
      this.#byKey.set(key, entry);
    }
    return entry;
  }

  /** Runs the operations on one session one after the other, in the order of the calls. */
  async exclusively<T>(key: string, run: (entry: SessionEntry<State, Window>) => Promise<T>): Promise<T> {
    const entry = this.entryOf(key);
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
        this.settle(entry);
      }
    }
  }

  /** The holder that has the session open here leaves it, and its unsaved rows are saved. */
  async takeFromHolder(
    entry: SessionEntry<State, Window>,
    why: 'taken' | 'removed' = 'taken',
  ): Promise<void> {
    const before = entry.open;
    if (before !== undefined) {
      try {
        await before.tellLost(why);
      } catch (cause) {
        this.services.log.error({ err: cause, key: entry.key }, 'a durable session did not end as it should');
      }
      before.forsake();
    }
    await entry.ending;
    await this.saveRest(entry);
  }

  /** From here on the store refuses what another owner writes to this session. */
  async takeLease(entry: SessionEntry<State, Window>): Promise<void> {
    // This takes over the lease that the entry had, too: losing that one must not end the session.
    entry.lease = undefined;
    const lease = await this.services.cluster.lease(this.#leaseName(entry), { takeOver: true });
    this.#hold(entry, lease!);
  }

  /** False: another node has the session. */
  async takeIfFree(entry: SessionEntry<State, Window>): Promise<boolean> {
    const lease = await this.services.cluster.lease(this.#leaseName(entry));
    if (lease !== undefined) this.#hold(entry, lease);
    return lease !== undefined;
  }

  #hold(entry: SessionEntry<State, Window>, lease: Lease): void {
    entry.lease = lease;
    if (!this.services.isShared) return;
    lease.lost.addEventListener('abort', () => {
      if (entry.lease === lease) entry.stale();
    });
  }

  /** Writes the unsaved rows before the session is read again. Without the lease they are given up. */
  async saveRest(entry: SessionEntry<State, Window>): Promise<void> {
    const rest = entry.unsaved && entry.save();
    if (rest === undefined) return;
    this.lane.dirty.delete(entry);
    try {
      await this.write(rest);
      entry.saved(rest);
    } catch (cause) {
      if (cause instanceof StaleWrite) {
        entry.stale();
        return;
      }
      this.services.saver.saveSoon(this.lane, entry);
      throw cause;
    }
  }

  load(entry: SessionEntry<State, Window>): Promise<Loaded<State, Window> | undefined> {
    return this.rows.load(entry.key, this.services.headSeq());
  }

  /** Its rows are gone, or were never written. */
  uncount(entry: SessionEntry<State, Window>): void {
    entry.hasRows = false;
    this.quotas.remove(entry);
  }

  /** When no operation is left: releases the lease, and forgets an entry that does not count. */
  settle(entry: SessionEntry<State, Window>): void {
    const isBusy = entry.open ?? entry.unsaved ?? entry.ending ?? entry.tail;
    if (isBusy !== undefined) return;
    // Its holder left before the first save.
    if (!entry.hasRows) this.uncount(entry);
    const { lease } = entry;
    entry.lease = undefined;
    lease
      ?.release()
      .catch((cause: unknown) =>
        this.services.log.debug(
          { err: cause, key: entry.key },
          'a lease could not be released; it ends by itself',
        ),
      );
    if (entry.isCounted) return;
    entry.unwatch();
    if (this.#byKey.get(entry.key) === entry) this.#byKey.delete(entry.key);
  }

  async removeRows(entry: SessionEntry<State, Window>, commit: Commit): Promise<void> {
    const records = await this.rows.wholeRemoval(entry.key);
    await commit({ records, fences: entry.fences });
    entry.unsaved = undefined;
    this.lane.dirty.delete(entry);
    entry.unwatch();
    this.uncount(entry);
  }

  #leaseName({ key }: SessionEntry<State, Window>): string {
    return `${this.kind.table}/${key}`;
  }

  readonly write: Commit = ({ records, fences }) => this.services.records.write(records, { fences });

  readonly #onSaved = (entry: SessionEntry<State, Window>): void => this.settle(entry);
}
