import { epochLength, type Filter, literalPrefix, matches } from '@everywire/protocol';
import type { Message } from '../../core/log/message.ts';
import type { Log } from '../../core/seams/log.ts';
import type { EpochHistory } from '../epoch-history.ts';
import { endOfPrefix, nameKey, nameOfKey } from './keys.ts';
import type { OpenedLog } from './opened-log.ts';
import { checkRecord, crcSeed, readRecord, seqOfRecord } from './record.ts';

/**
 * Retained messages of matching channels, in seq order. One that the file has and the log does not show yet is left out:
 * it comes by the feed.
 */
export function readRetained({ database, history, head }: OpenedLog, filter: Filter, log: Log): Message[] {
  const prefix = nameKey(literalPrefix(filter));
  const range = prefix.length === 0 ? {} : { from: prefix, to: endOfPrefix(prefix) };
  const found: Message[] = [];
  for (const { key, value } of database.range('retained', range)) {
    const name = nameOfKey(key);
    if (!matches(filter, name)) continue;
    const message = decodeRetained(name, value, history);
    if (message === undefined) log.error({ channel: name }, 'a retained message fails its checksum');
    else if (message.seq <= head.seq) found.push(message);
  }
  return found.sort((a, b) => a.seq - b.seq);
}

/** A row is the epoch of the channel's life, then the record. `undefined` when it is damaged. */
export function decodeRetained(name: string, row: Buffer, history: EpochHistory): Message | undefined {
  const record = row.subarray(epochLength);
  if (record.length < 14) return undefined;
  const epoch = history.epochOf(seqOfRecord(record, 0));
  const end = checkRecord(record, 0, crcSeed(name, row.toString('latin1', 0, epochLength), epoch));
  return end === undefined ? undefined : readRecord(record, 0, end, name, epoch);
}
