import { EverywireError } from '@everywire/protocol';
import type { Identity } from '../../core/sessions/access.ts';
import type { Timer } from '../../core/clock.ts';
import { Shares } from '../../core/sessions/subject-quotas.ts';
import type { RecordWrite } from '../../core/seams/store.ts';
import type { Progress, Subscription } from '../../core/seams/transport.ts';
import type { StompHost } from './limits.ts';

const table = 'stomp-subscriptions';
/** Positions that moved are written together: acknowledgements come one by one, and a flush each would be theirs to wait for. */
const writtenAfterMs = 50;
const retriedAfterMs = 1_000;
const listedAtOnce = 500;

/** Who a durable subscription belongs to. A client id means nothing without the subject it was used by (T10). */
export interface DurableOwner {
  readonly subject: string | undefined;
  readonly clientId: string;
}

/** Where a subscription stood, for one that goes on. */
export interface Kept {
  readonly filter: string;
  readonly progress: Progress;
}

interface Row {
  readonly filter: string;
  readonly cursor: string;
  readonly ahead: readonly string[];
  readonly through: number;
  /** Somebody was subscribed when it was written, so more may have been delivered since. */
  readonly isOpen: boolean;
  /** Which start of the server wrote it. */
  readonly run: string;
  readonly timeMs: number;
}

interface Live {
  readonly filter: string;
  readonly subscription: Subscription;
}

/**
 * Positions of durable subscriptions, one row each: nothing is queued and nothing is written while their clients
 * are away. What was acknowledged within the last moment before a crash is delivered again, marked.
 */
export class DurablePositions {
  readonly #host: StompHost;
  readonly #run: string;
  /** Whatever an earlier run of the server delivered is not above this. */
  readonly #startSeq: number;
  /** Those that have a row, or are about to. */
  readonly #kept = new Set<string>();
  readonly #shares = new Shares();
  readonly #live = new Map<string, Live>();
  /** Positions of those who left, until they are written. */
  readonly #left = new Map<string, Row>();
  #dirty = new Set<string>();
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;

  constructor(host: StompHost) {
    this.#host = host;
    this.#run = host.random.hex(8);
    this.#startSeq = host.hub.head.seq;
  }

  static keyOf({ subject, clientId }: DurableOwner, name: string): string {
    return [subject ?? '', clientId, name].map(encodeURIComponent).join('/');
  }

  /** Finds what there is, and forgets what nobody has come back for. */
  async open(): Promise<void> {
    const { records, clock, limits } = this.#host;
    const oldestMs = clock.nowMs() - limits.stompDurableIdleMs;
    let after: string | undefined;
    for (;;) {
      const rows = await records.list(table, '', after, listedAtOnce);
      const old: RecordWrite[] = [];
      for (const { key, value } of rows) {
        if ((parseRow(value)?.timeMs ?? 0) < oldestMs) old.push({ table, key, value: undefined });
        else this.#add(key);
      }
      if (old.length > 0) await records.write(old);
      after = rows.at(-1)?.key;
      if (rows.length < listedAtOnce) return;
    }
  }

  async find(key: string): Promise<Kept | undefined> {
    const left = this.#left.get(key);
    const row = left ?? (await this.#read(key));
    if (row === undefined) return undefined;
    let deliveredThroughSeq = row.through;
    if (left === undefined && row.isOpen) {
      const knownSeq = row.run === this.#run ? this.#host.hub.head.seq : this.#startSeq;
      deliveredThroughSeq = Math.max(deliveredThroughSeq, knownSeq);
    }
    return {
      filter: row.filter,
      progress: { cursor: row.cursor, ackedAhead: row.ahead, deliveredThroughSeq },
    };
  }

  /**
   * From here on the position of `subscription` is kept; resolves once it is for the first time.
   * @param identity whose it is
   * @throws EverywireError `quota_exceeded`: that subject has, or all have, as many as may be kept
   */
  async keep(key: string, filter: string, subscription: Subscription, identity: Identity): Promise<void> {
    if (!this.#kept.has(key)) {
      this.#checkRoom(identity);
      this.#add(key);
    }
    this.#live.set(key, { filter, subscription });
    this.#left.delete(key);
    this.#dirty.add(key);
    await this.flush();
  }

  /** It moved. */
  touch(key: string): void {
    this.#dirty.add(key);
    this.#writeIn(writtenAfterMs);
  }

  /** Its client is gone. To be called before the subscription is cancelled. */
  leave(key: string): void {
    const live = this.#live.get(key);
    if (live === undefined) return;
    this.#left.set(key, this.#rowOf(live, false));
    this.#live.delete(key);
    this.touch(key);
  }

  async forget(key: string): Promise<void> {
    await this.#writing;
    this.#live.delete(key);
    this.#left.delete(key);
    this.#dirty.delete(key);
    if (!this.#kept.has(key)) return;
    await this.#host.records.write([{ table, key, value: undefined }]);
    // Another connection of its client may have begun it anew meanwhile.
    if (!this.#live.has(key) && !this.#left.has(key)) this.#remove(key);
  }

  /** Writes what has moved. Rejects when that failed; it is tried again. */
  async flush(): Promise<void> {
    // What is under way may have begun before the last change.
    await this.#writing?.catch(() => undefined);
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    await this.#writing;
  }

  #checkRoom(identity: Identity): void {
    const { stompDurablesMax, stompDurablesPerSubjectMax } = this.#host.limits;
    if (this.#kept.size >= stompDurablesMax) {
      throw new EverywireError(
        'quota_exceeded',
        `At most ${stompDurablesMax} durable subscriptions are kept.`,
      );
    }
    this.#shares.check(identity, stompDurablesPerSubjectMax, 'durable subscriptions');
  }

  #add(key: string): void {
    this.#kept.add(key);
    this.#shares.add(subjectOf(key));
  }

  #remove(key: string): void {
    if (this.#kept.delete(key)) this.#shares.remove(subjectOf(key));
  }

  #writeIn(delayMs: number): void {
    if (this.#timer === undefined) this.#timer = this.#host.clock.after(delayMs, this.#onTimer);
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.flush().catch((cause: unknown) => {
      this.#host.log.warn(
        { err: cause },
        'positions of STOMP subscriptions could not be written; trying again',
      );
    });
  };

  async #write(): Promise<void> {
    const keys = this.#dirty;
    if (keys.size === 0) return;
    this.#dirty = new Set();
    const writes: RecordWrite[] = [];
    const rows = new Map<string, Row>();
    for (const key of keys) {
      const live = this.#live.get(key);
      const row = live === undefined ? this.#left.get(key) : this.#rowOf(live, true);
      if (row === undefined) continue;
      rows.set(key, row);
      writes.push({ table, key, value: Buffer.from(JSON.stringify(row)) });
    }
    try {
      await this.#host.records.write(writes);
    } catch (cause) {
      for (const key of keys) this.#dirty.add(key);
      this.#writeIn(retriedAfterMs);
      throw cause;
    }
    for (const [key, row] of rows) if (this.#left.get(key) === row) this.#left.delete(key);
  }

  #rowOf({ filter, subscription }: Live, isOpen: boolean): Row {
    const { cursor, ackedAhead, deliveredThroughSeq } = subscription.progress;
    return {
      filter,
      cursor,
      ahead: ackedAhead,
      through: deliveredThroughSeq,
      isOpen,
      run: this.#run,
      timeMs: this.#host.clock.nowMs(),
    };
  }

  async #read(key: string): Promise<Row | undefined> {
    const value = await this.#host.records.get(table, key);
    return value === undefined ? undefined : parseRow(value);
  }
}

/** Whose it is, of a key of `DurablePositions.keyOf`. */
function subjectOf(key: string): string | undefined {
  const subject = decodeURIComponent(key.slice(0, key.indexOf('/')));
  return subject === '' ? undefined : subject;
}

/** Rows are ours; one that is not is as good as none. */
function parseRow(value: Buffer): Row | undefined {
  try {
    const row = JSON.parse(value.toString()) as Row;
    const isSound =
      typeof row.filter === 'string' &&
      typeof row.cursor === 'string' &&
      Array.isArray(row.ahead) &&
      row.ahead.every((one) => typeof one === 'string') &&
      Number.isSafeInteger(row.through);
    return isSound ? row : undefined;
  } catch {
    return undefined;
  }
}
