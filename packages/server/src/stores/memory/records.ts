import type { RecordRow, RecordStore, RecordWrite, WriteConditions } from '../../core/seams/store.ts';
import { checkConditions, type ConditionState } from '../conditions.ts';
import { compareUtf8, SortedKeys } from './sorted-keys.ts';

interface Table {
  readonly rows: Map<string, Buffer>;
  readonly keys: SortedKeys;
}

/** Rows beside the log; a write is visible at once, whole. */
export class MemoryRecords implements RecordStore, ConditionState {
  readonly #tables = new Map<string, Table>();
  readonly #tokenOf: ConditionState['tokenOf'];

  /** @param tokenOf the token of a lease that is held; absent: none is */
  constructor(tokenOf: ConditionState['tokenOf'] = () => undefined) {
    this.#tokenOf = tokenOf;
  }

  get(table: string, key: string): Promise<Buffer | undefined> {
    return Promise.resolve(this.row(table, key));
  }

  async write(writes: readonly RecordWrite[], conditions: WriteConditions = {}): Promise<void> {
    this.apply(writes, conditions);
  }

  row(table: string, key: string): Buffer | undefined {
    return this.#tables.get(table)?.rows.get(key);
  }

  tokenOf(lease: string): string | undefined {
    return this.#tokenOf(lease);
  }

  list(
    table: string,
    prefix: string,
    after: string | undefined,
    limit: number,
  ): Promise<readonly RecordRow[]> {
    const found: RecordRow[] = [];
    const known = this.#tables.get(table);
    if (known === undefined) return Promise.resolve(found);
    const keys = known.keys.all();
    let at = Math.max(known.keys.above(after), known.keys.notBelow(prefix));
    for (; at < keys.length && found.length < limit; at += 1) {
      const key = keys[at]!;
      if (!key.startsWith(prefix)) break;
      found.push({ key, value: known.rows.get(key)! });
    }
    return Promise.resolve(found);
  }

  /** @throws StaleWrite */
  apply(writes: readonly RecordWrite[], conditions: WriteConditions = {}): void {
    checkConditions(conditions, this);
    for (const { table, key, value } of writes) {
      let known = this.#tables.get(table);
      if (known === undefined) {
        if (value === undefined) continue;
        known = { rows: new Map(), keys: new SortedKeys(compareUtf8) };
        this.#tables.set(table, known);
      }
      const isThere = known.rows.has(key);
      if (value !== undefined) {
        known.rows.set(key, Buffer.from(value));
        if (!isThere) known.keys.add(key);
      } else if (isThere) {
        known.rows.delete(key);
        known.keys.remove(key);
      }
    }
  }
}
