import { EverywireError, formatCursor, noTag, parseCursor } from '@everywire/protocol';
import type { Identity } from '../../../src/core/sessions/access.ts';
import type { Clock, Timer } from '../../../src/core/clock.ts';
import { DurableSessions } from '../../../src/core/durable/durable-sessions.ts';
import type { DurableHolder, DurableKind, DurableSession, Found } from '../../../src/core/durable/kind.ts';
import type { SubscriptionProgress } from '../../../src/core/durable/progress.ts';
import { createDurableServices, type DurableServices } from '../../../src/core/durable/services.ts';
import { StaleWrite } from '../../../src/core/cluster/stale-write.ts';
import type { Cluster, Lease } from '../../../src/core/seams/cluster.ts';
import type { RecordRow, RecordStore, RecordWrite, WriteConditions } from '../../../src/core/seams/store.ts';
import type { Log } from '../../../src/core/seams/log.ts';
import { MemoryRecords } from '../../../src/stores/memory/records.ts';

/** Time that a test moves. */
export class TestClock implements Clock {
  #elapsedMs = 0;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  nowMs(): number {
    return 1_000_000 + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, run: () => void): Timer {
    const timer = { atMs: this.#elapsedMs + delayMs, run };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  turn(run: () => void): void {
    run();
  }

  /** Lets so much time pass, and everything that it brings about happen. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#timers].sort((left, right) => left.atMs - right.atMs);
      if (next === undefined || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.#elapsedMs = Math.max(this.#elapsedMs, next.atMs);
      next.run();
      await settle();
    }
    this.#elapsedMs = endMs;
  }
}

export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  await new Promise<void>((resolve) => setImmediate(resolve));
}

interface Held {
  readonly token: string;
  readonly node: string;
  readonly lost: AbortController;
}

/** One store that several nodes have open: it outlives each of them. */
export class TestStore {
  rows = new MemoryRecords();
  /** Fails so many writes from now on. */
  failures = 0;
  writes = 0;
  /** No owner hears that a lease was taken; refused writes tell. */
  isSilent = false;
  readonly tokens = new Map<string, Held>();
  #counter = 0;
  #gate: Promise<void> | undefined;

  /** Writes wait until the function that this returns is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#gate = promise as Promise<unknown> as Promise<void>;
    return () => {
      this.#gate = undefined;
      resolve(undefined);
    };
  }

  async write(
    writes: readonly RecordWrite[],
    { fences = [], guards = [] }: WriteConditions = {},
  ): Promise<void> {
    if (this.#gate !== undefined) await this.#gate;
    this.writes += 1;
    if (this.failures > 0) {
      this.failures -= 1;
      throw new EverywireError('store_unavailable', 'The store is away.');
    }
    for (const { name, token } of fences) {
      if (this.tokens.get(name)?.token !== token) throw new StaleWrite();
    }
    this.rows.apply(writes, { guards });
  }

  take(name: string, node: string): Lease {
    if (!this.isSilent) this.tokens.get(name)?.lost.abort();
    this.#counter += 1;
    const token = String(this.#counter);
    const lost = new AbortController();
    this.tokens.set(name, { token, node, lost });
    return {
      name,
      token,
      lost: lost.signal,
      release: () => {
        if (this.tokens.get(name)?.token === token) this.tokens.delete(name);
        return Promise.resolve();
      },
    };
  }

  /** As when a node has not renewed them in time. */
  endLeasesOf(node: string): void {
    for (const [name, held] of this.tokens) if (held.node === node) this.tokens.delete(name);
  }

  /** What is durable now, for a server that was killed here and starts again. All leases have ended. */
  async crashed(...tables: readonly string[]): Promise<TestStore> {
    const next = new TestStore();
    for (const table of tables) {
      const rows = await this.rows.list(table, '', undefined, 1_000_000);
      next.rows.apply(rows.map(({ key, value }) => ({ table, key, value })));
    }
    next.#counter = this.#counter + 1_000;
    return next;
  }
}

/** What one process has of the store: everything it does ends when it is killed. */
export class TestNode {
  readonly services: DurableServices;
  readonly name: string;
  readonly logged: string[] = [];
  headSeq = 0;
  #isKilled = false;

  constructor(store: TestStore, clock: Clock, node = 'n1', living: readonly string[] = [node]) {
    const isShared = living.length > 1;
    this.name = node;
    const write = (line: string) => (_fields: object, text: string) =>
      void this.logged.push(`${line}: ${text}`);
    const log: Log = {
      debug: () => undefined,
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    };
    const records: RecordStore = {
      get: (table, key) => store.rows.get(table, key),
      list: (table, prefix, after, limit): Promise<readonly RecordRow[]> =>
        store.rows.list(table, prefix, after, limit),
      write: async (writes, conditions) => {
        if (this.#isKilled) return never();
        return store.write(writes, conditions);
      },
    };
    const cluster: Cluster = {
      node,
      nodes: () => Promise.resolve(living.map((one) => ({ node: one }))),
      lease: async (name, { takeOver = false } = {}) => {
        if (this.#isKilled) return never();
        return takeOver || !store.tokens.has(name) ? store.take(name, node) : undefined;
      },
      nowMs: () => Promise.resolve(clock.nowMs()),
    };
    this.services = createDurableServices({
      records,
      cluster,
      isShared,
      clock,
      log,
      headSeq: () => this.headSeq,
    });
  }

  /** Nothing that it begins to write from now on is written. */
  kill(): void {
    this.#isKilled = true;
  }
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}

export interface TestState {
  readonly note: string;
}

export const table = 'test-sessions';

export function makeKind(
  changed: Partial<DurableKind<TestState, number>> = {},
): DurableKind<TestState, number> {
  return {
    what: 'test sessions',
    table,
    readState: (stored) =>
      typeof (stored as TestState | null)?.note === 'string' ? (stored as TestState) : undefined,
    readWindow: (stored) => (typeof stored === 'number' ? stored : undefined),
    quota: { policy: 'refuse', max: 100, perSubjectMax: 10 },
    ...changed,
  };
}

/** A holder with one subscription, whose place a test moves. */
export class TestHolder implements DurableHolder {
  session!: DurableSession;
  note = '';
  window_ = 0;
  seq = 0;
  deliveredSeq = 0;
  readonly losses: string[] = [];
  /** Its reaction when another owner takes its session; by default it leaves it. */
  onTaken: () => undefined | Promise<void> = () => this.session.leave();

  subscriptions(): readonly SubscriptionProgress[] {
    return [{ id: 's', filter: 'a', progress: progressAt(this.seq, this.deliveredSeq) }];
  }

  state(): TestState {
    return { note: this.note };
  }

  window(): number {
    return this.window_;
  }

  lost(why: 'taken' | 'stale'): undefined | Promise<void> {
    this.losses.push(why);
    return why === 'taken' ? this.onTaken() : undefined;
  }
}

export function progressAt(seq: number, deliveredWatermark = seq) {
  return { cursor: cursorAt(seq), acksAboveWatermark: [], deliveredWatermark };
}

export function cursorAt(seq: number): string {
  return formatCursor({ epoch: '000001', seq, tag: noTag });
}

export const anonymous: Identity = { subject: undefined, isAdmin: false };

/** A bounded subject. */
export function party(subject: string): Identity {
  return { subject, isAdmin: false, claims: { subscribe: [], publish: [], expiresAtMs: 1e15 } };
}

/** Opens a session and begins it. */
export async function begin(
  sessions: DurableSessions<TestState, number>,
  key: string,
  { identity = anonymous, keepMs = 60_000 }: { readonly identity?: Identity; readonly keepMs?: number } = {},
): Promise<{ holder: TestHolder; found: Found<TestState, number> | undefined }> {
  const holder = new TestHolder();
  const { session, found } = await sessions.open(key, holder, { identity, keepMs });
  holder.session = session;
  const { seq, deliveredWatermark } = placeOf(found);
  holder.seq = seq;
  holder.deliveredSeq = deliveredWatermark;
  holder.note = found?.state.note ?? '';
  await session.save();
  return { holder, found };
}

export function placeOf(found: Found<TestState, number> | undefined) {
  const progress = found?.subscriptions[0]?.progress;
  return {
    seq: progress === undefined ? 0 : parseCursor(progress.cursor)!.seq,
    deliveredWatermark: progress?.deliveredWatermark ?? 0,
  };
}
