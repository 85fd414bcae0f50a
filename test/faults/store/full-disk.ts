import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Rounds } from '../../support/rounds.ts';
import { HistoryChecker } from '../checker/checker.ts';
import type { Violation } from '../checker/history.ts';
import { SmallDisk } from './disks.ts';
import { within } from './within.ts';
import { judge, recordHistory } from './store-log.ts';
import { CallFailed, StoreProcess } from './store-process.ts';

export interface FullDisk {
  readonly violations: readonly Violation[];
  readonly accepted: number;
  /** From the space coming back to the first accept, in milliseconds, one for each round. */
  readonly healedMs: readonly number[];
  /** Deletions that were refused while the disk was full, of two in each round. */
  readonly dropsRefused: number;
}

const kib = 1024;
const mebibytes = 12;
const fileBytesMax = 8 * 1024 * kib;
/** Far longer than it takes to fill the disk. */
const refusedWithinMs = 10_000;
const healsWithinMs = 5_000;

/**
 * Fills the disk of a running store, again and again: publishers publish until they are refused, everything accepted so
 * far is read while there is no room, a channel is deleted, and after the space came back the same process accepts
 * again. Everything goes into one history; at the end the store is opened once more and judged.
 */
export async function fillDisk(rounds: Rounds, sabotage?: string): Promise<FullDisk> {
  const disk = new SmallDisk({ mebibytes });
  const url = `lmdb:${join(disk.folder, 'data')}`;
  const violations: Violation[] = [];
  const healedMs: number[] = [];
  let dropsRefused = 0;
  const checker = new HistoryChecker();
  const process = new StoreProcess({ sabotage });
  try {
    await process.call('open', { url });
    for (let round = 0; rounds.begin(); round += 1) {
      const blame = (detail: string): void =>
        void violations.push({ rule: 'liveness', detail: `round ${round}: ${detail}` });
      // The file never gets shorter. Its present size counts as used, or it could grow to fill the whole disk.
      const growsByMax = Math.max(0, fileBytesMax - statSync(join(disk.folder, 'data/data.mdb')).size);
      disk.fill(Math.random() * growsByMax);
      const channel = `round/${round}`;
      await process.call('start', {
        prefix: `r${round}.`,
        publishers: 4,
        channels: [{ channel }, { channel: `${channel}/b` }],
        entriesMax: 2,
        payloadBytesMax: 48 * kib,
      });
      const ended = await within(process.call('ended', null), refusedWithinMs);
      if (ended === 'late') {
        blame(`the disk is full, and the store refused no publish within ${refusedWithinMs} ms`);
        await process.call('stop', null);
        break;
      }
      const { refusal, accepted, health } = ended;
      if (refusal?.code !== 'store_full') {
        blame(`the disk is full, and the answer was ${refusal?.code}: ${refusal?.detail}`);
        break;
      }
      if (health?.detail === undefined) blame('the store does not say that it is full');
      // Clients can still read, resume and delete.
      const { messages, gaps } = await process.call('read', { filter: `${channel}/**` });
      if (messages.length < accepted)
        blame(`${messages.length} messages can be read, ${accepted} were accepted`);
      const resumed = await process.call('read', { filter: `${channel}/**`, after: messages.at(0) });
      if (resumed.messages.length !== Math.max(0, messages.length - 1)) blame('a reader could not resume');
      if (gaps.length + resumed.gaps.length > 0) blame('a reader got a gap notice');
      // To delete takes a page or two: the store has to have kept some.
      const olds = round === 0 ? [] : [`round/${round - 1}`, `round/${round - 1}/b`];
      const left = await drop(process, checker, olds);
      dropsRefused += left.length;
      disk.free();
      const freedMs = performance.now();
      let isAccepted = false;
      for (let attempt = 0; !isAccepted && performance.now() < freedMs + healsWithinMs; attempt += 1) {
        const value = `h${round}.${attempt}.100`;
        await process.call('publish', { client: 'after', publishes: [{ channel, value }] });
        isAccepted = process.history.at(-1)?.kind === 'accepted';
        if (!isAccepted) await pause(10);
      }
      if (isAccepted) healedMs.push(performance.now() - freedMs);
      else blame(`nothing was accepted within ${healsWithinMs} ms after space came back`);
      recordHistory(checker, process);
      const undeleted = await drop(process, checker, left);
      if (undeleted.length > 0) blame('there is space again, and a channel cannot be deleted');
      await process.call('sweep', null);
    }
    violations.push(...process.unhandled.map((detail): Violation => ({ rule: 'liveness', detail })));
    await process.close();
    const reopened = new StoreProcess();
    try {
      await reopened.call('open', { url });
      const verdict = await judge(checker, reopened);
      await reopened.close();
      return {
        violations: [...violations, ...verdict.violations],
        accepted: verdict.accepted,
        healedMs,
        dropsRefused,
      };
    } finally {
      await reopened.kill();
    }
  } finally {
    await process.kill();
    disk.close();
  }
}

/** What became of the room that deleting made. */
export interface Deletions {
  readonly violations: readonly Violation[];
  /** Accepted in each round, of which each filled the disk anew. */
  readonly acceptedEach: readonly number[];
}

/**
 * Fills a disk, deletes channels, and fills the room that this made, again and again: no byte of the disk comes back
 * from elsewhere, as the file never gets shorter.
 */
export async function fillDeletedRoom(roundsCount: number, payloadBytesMax: number): Promise<Deletions> {
  const disk = new SmallDisk({ mebibytes });
  const url = `lmdb:${join(disk.folder, 'data')}`;
  const violations: Violation[] = [];
  const acceptedEach: number[] = [];
  const checker = new HistoryChecker();
  const process = new StoreProcess();
  try {
    await process.call('open', { url });
    for (let round = 0; round < roundsCount; round += 1) {
      const channels = [`round/${round}`, `round/${round}/b`];
      const publishers = { prefix: `d${round}.`, publishers: 4, entriesMax: 2, payloadBytesMax };
      await process.call('start', { ...publishers, channels: channels.map((channel) => ({ channel })) });
      const ended = await within(process.call('ended', null), refusedWithinMs);
      if (ended === 'late') throw new Error(`the disk is full, and no publish was refused (round ${round})`);
      if (ended.refusal?.code !== 'store_full')
        violations.push({ rule: 'liveness', detail: `round ${round}: ${JSON.stringify(ended.refusal)}` });
      acceptedEach.push(ended.accepted);
      recordHistory(checker, process);
      const left = await drop(process, checker, channels);
      if (left.length > 0)
        violations.push({ rule: 'liveness', detail: `round ${round}: ${left.join(', ')} cannot be deleted` });
    }
    violations.push(...process.unhandled.map((detail): Violation => ({ rule: 'liveness', detail })));
    const { violations: found } = await judge(checker, process);
    await process.close();
    return { violations: [...violations, ...found], acceptedEach };
  } finally {
    await process.kill();
    disk.close();
  }
}

/** Deletes channels; answers those for which there was no room. */
async function drop(
  process: StoreProcess,
  checker: HistoryChecker,
  channels: readonly string[],
): Promise<readonly string[]> {
  const refused: string[] = [];
  for (const channel of channels) {
    try {
      await process.call('drop', { channel });
      checker.record({ kind: 'dropped', atNs: 0, channel });
    } catch (caught) {
      if (!(caught instanceof CallFailed && caught.code === 'store_full')) throw caught;
      refused.push(channel);
    }
  }
  return refused;
}

function pause(timeMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, timeMs);
  });
}
