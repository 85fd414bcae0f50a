import type { Identity } from '../sessions/access.ts';
import type { RecordWrite } from '../seams/store.ts';
import type { SubscriptionProgress } from './progress.ts';
import type { DurableRow, WindowRow } from './row.ts';
import type { Save } from './saver.ts';

/**
 * One kind of durable session: state that a protocol, or a consumer group, keeps beyond a connection. All sessions of a
 * kind are in one table; the protocol chooses the keys.
 */
export interface DurableKind<State, Window = undefined> {
  /** In the plural, for logs and refusals: "durable subscriptions". */
  readonly what: string;
  readonly table: string;
  /**
   * A second row per session, for the state that changes with every acknowledgement: the progress and the holder's
   * `window`. Then `saveSoon` leaves the first row alone. Absent: one row holds everything.
   */
  readonly windowTable?: string | undefined;
  /** Further rows of a session, each written by itself, mostly in the transaction of a message: `<key>/<part>`. */
  readonly partsTable?: string | undefined;
  /**
   * How long every session is kept while it has no holder, regardless of its row. For kinds whose clients cannot choose
   * it.
   */
  readonly keepMs?: number | undefined;
  /** How long a session is kept whose row names no time. Absent: until it is removed. */
  readonly keepMsDefault?: number | undefined;
  /** The holder's `state` as it comes out of the row's JSON; `undefined`: unreadable. */
  readState(stored: unknown): State | undefined;
  /** The holder's `window`, likewise. */
  readonly readWindow?: ((stored: unknown) => Window | undefined) | undefined;
  /** A row that a version before the common format wrote; `undefined`: unreadable. */
  readonly earlier?: ((row: Buffer, key: string) => DurableRow | undefined) | undefined;
  readonly earlierWindow?: ((row: Buffer) => WindowRow | undefined) | undefined;
  /** `refuse`: a session whose row cannot be read cannot be opened. Default: it counts as missing, and is logged. */
  readonly unreadable?: 'missing' | 'refuse' | undefined;
  readonly quota: DurableQuota;
  /** Of kinds with long rows: see `SaveLane.bytesPerSave`. */
  readonly bytesPerSave?: number | undefined;
  /** At start, for each session that is there: in how long `due` is to be called; `undefined`: not before it expires. */
  readonly found?: ((stored: Recovered<State>) => number | undefined) | undefined;
  /**
   * A session that is away has expired, or asked to be woken. Absent: expired sessions are removed. If it rejects, it
   * is called again later.
   */
  readonly due?: ((parked: ParkedSession<State, Window>) => Promise<void>) | undefined;
}

/**
 * `refuse`: a subject at its limit gets no more; all sessions are listed at start and counted in memory. `evict`:
 * `sweep` removes the oldest sessions above the limit; only open ones take memory, and keys must begin with the time at
 * which the session began.
 */
export interface DurableQuota {
  readonly policy: 'refuse' | 'evict';
  /**
   * With `refuse`: one more ends the session that has been away for longest, of the same subject if that subject has too
   * many. It is refused only while all are open. Default false.
   */
  readonly makesRoom?: boolean | undefined;
  readonly max: number;
  /** Undefined where subjects have no separate limit. */
  readonly perSubjectMax: number | undefined;
}

/** A session that the server finds when it starts. */
export interface Recovered<State> {
  readonly key: string;
  /** As it was saved last. */
  readonly row: DurableRow;
  readonly state: State;
  /** How long it has been away; 0 if its holder did not leave it. */
  readonly agoMs: number;
}

/** The stored state of a session when it was opened. */
export interface Found<State, Window = undefined> {
  readonly subject: string | undefined;
  readonly rights: Pick<Identity, 'isAdmin' | 'claims'> | undefined;
  /** Marked already: `deliveredWatermark` says what may have been delivered, also where the server was killed. */
  readonly subscriptions: readonly SubscriptionProgress[];
  readonly state: State;
  readonly window: Window | undefined;
  /** By name. Empty for kinds without parts. */
  readonly parts: ReadonlyMap<string, Buffer>;
}

/**
 * The protocol's half of an open session. Its answers are written to the rows; the saver asks when it writes, not when
 * the state changes.
 */
export interface DurableHolder {
  subscriptions(): readonly SubscriptionProgress[];
  /** Any JSON value. */
  state(): unknown;
  /** Any JSON value. For kinds with a window row. */
  window?(): unknown;
  /** Rights to keep in the row; absent: none are. */
  rights?(): Pick<Identity, 'isAdmin' | 'claims'> | undefined;
  /**
   * Another owner has the session.
   * - `taken`: another holder opens it on this node, and waits until this resolves. The holder ends its connection and
   *   leaves the session.
   * - `removed`: the same, for an administrator's command.
   * - `stale`: another owner has the lease already, and the store refuses all writes of this one.
   */
  lost(why: 'taken' | 'removed' | 'stale'): undefined | Promise<void>;
}

/** Writes rows together with something else, such as a message: all or none. Must pass the fences on. */
export type Commit = (save: Save) => Promise<void>;

export interface Leaving {
  /** The server sent the client away: how long it is kept counts from the next start. */
  readonly isDrain?: boolean | undefined;
  /** When to call `due` before it expires. */
  readonly wakeMs?: number | undefined;
  /** Write within a moment, together with others. Default: at once. */
  readonly soon?: boolean | undefined;
}

/** A session that an owner has open. The store refuses its writes once another owner has the lease. */
export interface DurableSession {
  readonly key: string;
  /** How long it is kept once its holder has left; `undefined`: until it is removed. Written by the next save. */
  keepMs: number | undefined;
  /** Its owner's identity; a refresh replaces it. */
  identity: Identity;
  /** False once it was left, removed or lost. */
  readonly isOpen: boolean;
  /** For writes that the holder makes itself, such as parts in the transaction of a message. */
  readonly fences: Save['fences'];
  /** A part is written, or with `undefined` removed. */
  partWrite(part: string, value: Buffer | undefined): RecordWrite;
  /**
   * Durable when it resolves. The first one makes the session durable, and counts it.
   * @param rows `row`: without the window row; `window`: that alone. Only for kinds that have both
   * @throws EverywireError `quota_exceeded` or `session_taken`, or why the store could not write
   */
  save(rows?: 'all' | 'row' | 'window', commit?: Commit): Promise<void>;
  /**
   * Within a moment, together with others. Nothing before the first `save`. For state that every acknowledgement
   * changes.
   */
  saveSoon(): void;
  /**
   * The holder is gone, and the session is kept. The holder is asked once more, at once, so call it before
   * subscriptions are cancelled. Without a `commit`, a failed write is tried again until it succeeds.
   */
  leave(leaving?: Leaving, commit?: Commit): Promise<void>;
  /**
   * The rows that were found are the holder's from now on, as if it had saved them. For kinds whose clients bring their
   * own position: a client that comes back costs no write.
   */
  adopt(): void;
  /** The holder is gone, and what was saved last is kept. Nothing is written, so the session ages from that save on. */
  release(): void;
  /** Removes its rows, and keeps the session open: another `save` begins it anew. */
  clear(commit?: Commit): Promise<void>;
  /** Removes its rows and ends it. */
  remove(commit?: Commit): Promise<void>;
  /** Ends it; its rows go within a moment, however often that has to be tried. For kinds without parts. */
  removeSoon(): void;
}

/** A session without a holder that has expired or asked to be woken. Only this call has it. */
export interface ParkedSession<State, Window = undefined> {
  readonly key: string;
  readonly found: Found<State, Window>;
  readonly isExpired: boolean;
  /** Removes its rows. An expired one that is still there afterwards is removed as well. */
  readonly remove: (commit?: Commit) => Promise<void>;
  /** Writes this in place of the `state` and `rights` found; the session stays away as it was, and is not woken again. */
  readonly keep: (changed: Pick<DurableRow, 'state' | 'rights'>, commit?: Commit) => Promise<void>;
}
