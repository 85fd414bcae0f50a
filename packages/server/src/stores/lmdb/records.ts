import { EverywireError } from '@everywire/protocol';
import type { RecordRow } from '../../core/seams/store.ts';
import type { Database } from './database.ts';
import { endOfPrefix, keyOfRecord, recordKey } from './keys.ts';
import { unseal } from './rows.ts';

/** @throws EverywireError `store_unavailable` when the row is damaged: it must not count as missing. */
export function getRecord(database: Database, table: string, key: string): Buffer | undefined {
  const rowKey = recordKey(table, key);
  const row = database.get('records', rowKey);
  return row && whole(table, rowKey, row);
}

export function listRecords(
  database: Database,
  table: string,
  prefix: string,
  after: string | undefined,
  limit: number,
): readonly RecordRow[] {
  const found: RecordRow[] = [];
  if (limit <= 0) return found;
  const begin = recordKey(table, prefix);
  // The key itself with a NUL behind it is the first one above it.
  const above = after === undefined ? begin : Buffer.concat([recordKey(table, after), Buffer.alloc(1)]);
  const from = Buffer.compare(above, begin) > 0 ? above : begin;
  for (const { key, value } of database.range('records', { from, to: endOfPrefix(begin) })) {
    found.push({ key: keyOfRecord(table, key), value: whole(table, key, value) });
    if (found.length >= limit) break;
  }
  return found;
}

function whole(table: string, key: Buffer, row: Buffer): Buffer {
  const value = unseal(key, row);
  if (value === undefined) {
    throw new EverywireError(
      'store_unavailable',
      `A record of ${table} fails its checksum; run everywire doctor.`,
    );
  }
  return value;
}
