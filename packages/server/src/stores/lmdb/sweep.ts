import { setImmediate as turn } from 'node:timers/promises';
import type { Retention } from '../../core/seams/store.ts';
import type { Channel } from './channels.ts';
import type { TableName } from './database.ts';
import type { CommitBatch } from './commit-batch.ts';
import { channelSeqKey, nameKey, numberKey } from './keys.ts';
import { isShortOfRoom, type OpenedLog, removableRows } from './opened-log.ts';
import { decodeRetained } from './retained.ts';

type Submit = (work: (batch: CommitBatch) => void) => Promise<void>;

/**
 * The log that the sweep works on; throws `store_unavailable` once it is closed, or was opened again after a failure. A
 * sweep takes several turns, so it asks after each wait: a read from a closed file can end the process.
 */
export type CurrentLog = () => OpenedLog;

/** Channels looked at before others get their turn: about 2 ms. */
const channelsPerTurn = 64;
/**
 * Channels looked at in one sweep, which is due every five seconds; the next sweep continues after them. Idle channels
 * must not cost more for being many: 2,000 take about 15 ms, and 100,000 are gone through in four minutes.
 */
const channelsPerSweep = 2_000;
const removedPerCommit = 2_000;

/**
 * Trims by age, channel by channel, and forgets publish ids that are too old. Begins after the name `after`, and answers
 * with the name where the next sweep begins; `undefined` for the first.
 */
export async function sweepChannels(
  currentLog: CurrentLog,
  nowMs: number,
  retentionOf: (channel: string) => Retention,
  submit: Submit,
  begin: string | undefined,
): Promise<string | undefined> {
  let after = begin;
  for (let looked = 0; looked < channelsPerSweep; looked += channelsPerTurn) {
    const log = currentLog();
    const names = take(log.channels.names(after), channelsPerTurn);
    if (names.length === 0) return undefined;
    const due = names.flatMap((name) => {
      const retention = retentionOf(name);
      const channel = log.channels.get(name);
      return channel !== undefined && needsSweep(log, channel, nowMs - retention.ageMsMax)
        ? [{ name, retention }]
        : [];
    });
    // On a full disk trimming is what makes room, so each commit must be small enough to fit.
    const perCommit = isShortOfRoom(log.database) ? 1 : channelsPerTurn;
    for (let at = 0; at < due.length; at += perCommit) {
      await submit((batch) => {
        for (const { name, retention } of due.slice(at, at + perCommit)) {
          batch.trim(name, { retention, oldestMs: nowMs - retention.ageMsMax, forgetsIds: true });
        }
      });
    }
    after = names.at(-1);
    await turn();
  }
  return after;
}

function needsSweep(log: OpenedLog, channel: Channel, oldestMs: number): boolean {
  if (!channel.state.isLive) return false;
  if (channel.state.publishIds > 0) return true;
  if (channel.count === 0) return false;
  return (log.blocks.oldestTimeMs(channel.state) ?? 0) < oldestMs;
}

/** Removes retained messages that have expired. */
export async function sweepRetained(currentLog: CurrentLog, nowMs: number, submit: Submit): Promise<void> {
  const log = currentLog();
  const expired = [...(await log.retained.expired(nowMs))];
  while (expired.length > 0) {
    const some = expired.splice(0, removableRows(currentLog().database, removedPerCommit));
    await submit((batch) => {
      const { database } = currentLog();
      for (const { channel, seq } of some) {
        const key = nameKey(channel);
        // Another one may have been retained since.
        const row = database.get('retained', key);
        const now = row && decodeRetained(channel, row, log.history);
        if (now?.seq === seq) batch.write('retained', key, undefined);
      }
    });
    for (const one of some) log.retained.swept(one);
  }
}

/** Removes the rows of deleted channels, some with each commit. */
export async function purgeDeleted(currentLog: CurrentLog, submit: Submit): Promise<void> {
  const prefix = Buffer.from('purge/');
  const waiting = Array.from(
    currentLog().database.keys('meta', { from: prefix, to: Buffer.from('purge0') }),
    (key) => ({
      key: Buffer.from(key),
      no: Number(key.toString('latin1', prefix.length)),
    }),
  );
  for (const { key, no } of waiting) {
    for (let isDone = false; !isDone;) {
      const doomed = rowsOf(currentLog(), no);
      isDone = doomed.length === 0;
      await submit((batch) => {
        for (const row of doomed) batch.write(row.table, row.key, undefined);
        if (isDone) {
          batch.write('meta', key, undefined);
          // The newest number stays, or the next channel would be given it again.
          if (no + 1 < batch.nextChannelNo) batch.write('numbers', numberKey(no), undefined);
        }
      });
    }
  }
}

function rowsOf(log: OpenedLog, no: number): readonly { readonly table: TableName; readonly key: Buffer }[] {
  const found: { readonly table: TableName; readonly key: Buffer }[] = [];
  // Every table whose keys begin with the number of the life.
  const range = { from: channelSeqKey(no, 0).subarray(0, 4), to: channelSeqKey(no + 1, 0).subarray(0, 4) };
  const rowsMax = removableRows(log.database, removedPerCommit);
  for (const table of ['blocks', 'publishLog', 'publishIds'] as const) {
    const limit = rowsMax - found.length;
    if (limit <= 0) break;
    for (const key of log.database.keys(table, { ...range, limit }))
      found.push({ table, key: Buffer.from(key) });
  }
  return found;
}

function take<T>(items: Iterable<T>, count: number): readonly T[] {
  const taken: T[] = [];
  for (const item of items) {
    taken.push(item);
    if (taken.length >= count) break;
  }
  return taken;
}
