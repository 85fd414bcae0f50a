import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Violation } from '../checker/history.ts';
import { HistoryChecker } from '../checker/checker.ts';
import type { Load } from './calls.ts';
import { within } from './within.ts';
import { judge, recordHistory } from './store-log.ts';
import { CallFailed, NoAnswer, ProcessGone, StoreProcess } from './store-process.ts';

/**
 * A commit is page writes, `fdatasync`, then a write of the meta page: both ends can fail. `pwrite64` is counted on the
 * data file alone, so its n-th call is a page or a meta page.
 */
export interface Fault {
  readonly call: 'fdatasync' | 'pwrite64';
  readonly error: 'EIO' | 'ENOSPC';
  /** Counted from the start of the process. */
  readonly at: number;
  /** Every later call fails too. */
  readonly forEver?: boolean;
}

/**
 * What became of the process. When a page cannot be written, lmdb 3.5.6 prints where into a buffer that is too short.
 * Mostly the store notices and asks for a new process; but with its heap damaged, LMDB or the C library may end it first
 * (SIGABRT, SIGSEGV), or wait for ever for a lock inside of `malloc`; of 73 runs 12 asked, 7 ended and none hung.
 */
export type Fate = 'lived' | 'asked for a new one' | 'ended in native code' | 'hangs in native code';

export interface FailedFlush {
  readonly violations: readonly Violation[];
  /** `none` when the fault never came, because fewer calls were made. */
  readonly met: 'none' | 'open' | 'publish';
  readonly process: Fate;
  readonly accepted: number;
  /** From the first refusal to the first accept of the store opened again, in milliseconds. */
  readonly healedMs: number | undefined;
}

/** Publishers must have their answer, a good one or a bad one, within this. */
const answeredWithinMs = 5_000;
const deafAfterMs = 2_000;
const healsWithinMs = 10_000;
const load: Omit<Load, 'prefix'> = {
  publishers: 8,
  channels: [{ channel: 'a' }, { channel: 'b/c' }],
  entriesMax: 2,
  payloadBytesMax: 300,
};

/** Why faults cannot be injected here; `undefined` when they can. */
export function whyNoStrace(): string | undefined {
  try {
    execFileSync('strace', ['-f', '-o', '/dev/null', '-e', 'trace=fdatasync', 'true'], { stdio: 'pipe' });
    return undefined;
  } catch (caught) {
    return caught instanceof Error ? caught.message.split('\n')[0] : String(caught);
  }
}

/**
 * Lets one call of the store's process fail, and judges what follows: everybody is answered, the store says that it is
 * not well, accepts nothing more in that life of the log, heals by opening the file again when it can, and has lost
 * nothing that was accepted.
 */
export async function failFlush(fault: Fault, sabotage?: string): Promise<FailedFlush> {
  const base = await mkdtemp(join(tmpdir(), 'everywire-flush-'));
  const folder = join(base, 'data');
  const trace = join(base, 'trace');
  const violations: Violation[] = [];
  const blame = (detail: string): void => void violations.push({ rule: 'liveness', detail });
  const checker = new HistoryChecker();
  // Not a new file: when its very first write fails, LMDB 3.5.6 ends the process in native code (seen; nothing is lost).
  const first = new StoreProcess();
  try {
    await first.call('open', { url: `lmdb:${folder}` });
    await first.close();
  } finally {
    await first.kill();
  }
  const faulty = new StoreProcess({
    sabotage,
    under: straceFor(fault, folder, trace),
    env: { UV_THREADPOOL_SIZE: '1' },
  });
  let met: FailedFlush['met'] = 'none';
  let healedMs: number | undefined;
  let fate: Fate = 'lived';
  const publishUntilHealed = async (): Promise<void> => {
    met = 'open';
    if (!(await opens(faulty, folder))) return;
    met = 'none';
    await faulty.call('start', { ...load, prefix: 'before.' });
    if (!(await waitForFault(trace, faulty))) return;
    met = 'publish';
    const injectedMs = performance.now();
    const ended = await within(faulty.call('ended', null), answeredWithinMs);
    if (ended === 'late') {
      if (fault.call === 'pwrite64' && (await isDeaf(faulty))) fate = 'hangs in native code';
      else
        blame(
          `${answeredWithinMs} ms after a call failed with ${fault.error} the store had refused no publish`,
        );
      return;
    }
    if (ended.refusal?.code !== 'store_unavailable') {
      blame(`a failed flush was answered with ${ended.refusal?.code}: ${ended.refusal?.detail}`);
    }
    if (ended.health?.ok !== false) blame('after a failed flush the store said that it is well');
    healedMs = await healing(faulty, fault, injectedMs);
    if (healedMs === undefined && fault.forEver !== true) blame(`not healed within ${healsWithinMs} ms`);
    if (healedMs !== undefined && fault.forEver === true) blame('accepted although every flush fails');
  };
  try {
    try {
      await publishUntilHealed();
    } catch (caught) {
      if (caught instanceof NoAnswer && fault.call === 'pwrite64' && (await isDeaf(faulty))) {
        fate = 'hangs in native code';
      } else if (caught instanceof ProcessGone) {
        fate = faulty.hasAskedForNewOne ? 'asked for a new one' : 'ended in native code';
        if (fault.call !== 'pwrite64') blame(`the process went: ${caught.message}`);
      } else {
        throw caught;
      }
    }
    for (const detail of faulty.unhandled) blame(`not handled: ${detail}`);
    await faulty.kill();
    violations.push(...lifeViolations(faulty));
    const sound = new StoreProcess();
    try {
      recordHistory(checker, faulty);
      await sound.call('open', { url: `lmdb:${folder}` });
      const verdict = await judge(checker, sound);
      await sound.close();
      return {
        violations: [...violations, ...verdict.violations],
        met,
        process: fate,
        accepted: verdict.accepted,
        healedMs,
      };
    } finally {
      await sound.kill();
    }
  } finally {
    await faulty.kill();
    await rm(base, { recursive: true, force: true });
  }
}

function straceFor(
  { call, error, at, forEver = false }: Fault,
  folder: string,
  trace: string,
): readonly string[] {
  const inject = `inject=${call}:error=${error}:when=${at}${forEver ? '+' : ''}`;
  const onlyData = call === 'pwrite64' ? ['-P', join(folder, 'data.mdb')] : [];
  return ['strace', '-f', '--seccomp-bpf', '-o', trace, ...onlyData, '-e', `trace=${call}`, '-e', inject];
}

/** False when the store refused to open with an error; anything else is thrown. */
async function opens(process: StoreProcess, folder: string): Promise<boolean> {
  try {
    await process.call('open', { url: `lmdb:${folder}` });
    return true;
  } catch (caught) {
    if (caught instanceof CallFailed) return false;
    throw caught;
  }
}

/** Whether the fault has come; false when the process made many calls without it. */
async function waitForFault(trace: string, process: StoreProcess): Promise<boolean> {
  for (const deadlineMs = performance.now() + answeredWithinMs; performance.now() < deadlineMs;) {
    if (existsSync(trace) && readFileSync(trace, 'utf8').includes('(INJECTED)')) return true;
    // The n-th call comes only if the store still works; each event shows that it does.
    await new Promise<void>((resolve) => {
      process.onEvent = () => resolve();
      setTimeout(resolve, 50);
    });
  }
  return false;
}

/** Whether its event loop is blocked. */
async function isDeaf(process: StoreProcess): Promise<boolean> {
  return (await within(process.call('health', null), deafAfterMs)) === 'late';
}

/** Publishes now and then until one is accepted. */
async function healing(process: StoreProcess, fault: Fault, sinceMs: number): Promise<number | undefined> {
  const withinMs = fault.forEver === true ? 2_000 : healsWithinMs;
  for (let attempt = 0; performance.now() < sinceMs + withinMs; attempt += 1) {
    await process.call('publish', {
      client: 'after',
      publishes: [{ channel: 'a', value: `after.${attempt}.50` }],
    });
    if (process.history.at(-1)?.kind === 'accepted') return performance.now() - sinceMs;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  return undefined;
}

/** After the first answer that the store failed, it accepts nothing in the same life of the log. */
function lifeViolations(process: StoreProcess): readonly Violation[] {
  let failedNs = Number.POSITIVE_INFINITY;
  let epoch: string | undefined;
  for (const event of process.history) {
    if (event.kind === 'unknown') failedNs = Math.min(failedNs, event.atNs);
    if (event.kind !== 'accepted') continue;
    if (event.atNs < failedNs) epoch = event.epoch;
    else if (event.epoch === epoch) {
      return [
        {
          rule: 'aborted read',
          detail: `${event.value} was accepted in epoch ${epoch} after a failed flush`,
        },
      ];
    }
  }
  return [];
}
