import type { Position } from '@everywire/protocol';
import type { Rounds } from '../../support/rounds.ts';
import { HistoryChecker, type Verdict } from '../checker/checker.ts';
import type { HistoryEvent, Violation } from '../checker/history.ts';
import type { Load, Publish } from './calls.ts';
import { StoreProcess, type StartOptions } from './store-process.ts';

export interface CrashRunOptions {
  readonly cycles: Rounds;
  /** The store; the same in every cycle. */
  readonly url: string;
  readonly sabotage?: string;
  readonly start?: StartOptions;
  /**
   * Ends the process, and leaves the rest of the store at `url`. Returns an instant, in nanoseconds of the monotonic
   * clock: every answer up to it must have survived.
   */
  readonly crash: (process: StoreProcess) => Promise<number>;
  /** How long after the first accept of a cycle the crash comes, at most. */
  readonly crashWithinMs?: number;
}

export interface CrashRunResult extends Verdict {
  /** Publishes whose fate was unknown after a crash, and were sent again. */
  readonly unknown: number;
  /** Milliseconds of each opening after a crash. */
  readonly openedMs: readonly number[];
  /** What the processes said on their own account. */
  readonly unhandled: readonly string[];
}

const readerName = 'reader';
const retryClient = 'retry';
const countMaxOfTrimmed = 40;
const channels: Load['channels'] = [
  { channel: 'kept/a' },
  { channel: 'kept/b' },
  { channel: 'kept/c/d' },
  { channel: 'trimmed/a', countMax: countMaxOfTrimmed },
  { channel: 'trimmed/b', countMax: 1 },
];
const countMaxOf = new Map(channels.map(({ channel, countMax }) => [channel, countMax]));

/**
 * Runs a store through many crashes on one folder. In each cycle the run opens the store, a reader of everything resumes
 * from its cursor, and every publish of the cycle before is sent again with its id. (The store must answer an accepted
 * one with its first position; the others have no known result.) Then one id is used for another content, and eight
 * publishers publish until the crash. All calls and answers of all cycles go into one history. So the checker finds a
 * lost message, and also one position that had different messages in two cycles.
 */
export async function runCrashes(options: CrashRunOptions): Promise<CrashRunResult> {
  const { cycles, url, sabotage, crash, crashWithinMs = 50 } = options;
  const checker = new HistoryChecker();
  const openedMs: number[] = [];
  const unhandled: string[] = [];
  let retries: readonly Publish[] = [];
  let cursor: Position | undefined;
  let unknown = 0;
  const start = (cycle: number): StoreProcess =>
    new StoreProcess({ ...options.start, sabotage, feedName: feedOf(cycle) });

  // The next process starts while this one works, so that a cycle takes only the store's time.
  let next = start(0);
  let process = next;
  try {
    for (let cycle = 0; ; cycle += 1) {
      // The last process is opened and read, and not killed.
      const isLast = !cycles.begin();
      if (!isLast) next = start(cycle + 1);
      const { head, tookMs } = await process.call('open', { url });
      openedMs.push(tookMs);
      record(checker, {
        kind: 'start',
        atNs: 0,
        subscriber: feedOf(cycle),
        filters: ['**'],
        afterSeq: undefined,
      });
      cursor = await readOn(process, checker, cursor ?? head);
      if (retries.length > 0) await process.call('publish', { client: retryClient, publishes: retries });
      if (isLast) break;
      const isFirstAccept = firstAccept(process);
      await process.call('start', loadOf(cycle));
      await isFirstAccept;
      await sleep(Math.random() * crashWithinMs);
      const survivesUntilNs = await crash(process);
      const { publishes, unknownCount } = recordUntil(checker, process.takeHistory(), survivesUntilNs);
      unhandled.push(...process.unhandled);
      retries = publishes;
      unknown += unknownCount;
      record(checker, { kind: 'stop', atNs: survivesUntilNs, subscriber: feedOf(cycle) });
      process = next;
    }
    recordUntil(checker, process.takeHistory(), Number.POSITIVE_INFINITY);
    await readOn(process, checker, cursor);
    const extra = await readFinally(process, checker);
    recordUntil(checker, process.takeHistory(), Number.POSITIVE_INFINITY);
    await process.close();
    unhandled.push(...process.unhandled);
    const verdict = checker.verdict();
    return { ...verdict, violations: [...extra, ...verdict.violations], unknown, openedMs, unhandled };
  } finally {
    await Promise.all([process.kill(), next.kill()]);
  }
}

function feedOf(cycle: number): string {
  return `feed of cycle ${cycle}`;
}

function loadOf(cycle: number): Load {
  return { prefix: `c${cycle}.`, publishers: 8, channels, entriesMax: 3, payloadBytesMax: 600 };
}

function record(checker: HistoryChecker, ...events: readonly HistoryEvent[]): void {
  for (const event of events) checker.record(event);
}

/** Reads everything after the reader's cursor, as a client that comes back does. */
async function readOn(process: StoreProcess, checker: HistoryChecker, after: Position): Promise<Position> {
  const atNs = 0;
  const { messages, gaps, through } = await process.call('read', { filter: '**', after });
  checker.record({ kind: 'start', atNs, subscriber: readerName, filters: ['**'], afterSeq: after.seq });
  for (const gap of gaps) {
    const { channel, from, to, reason } = gap;
    checker.record({ kind: 'gap', atNs, subscriber: readerName, channel, from, to, reason });
  }
  for (const message of messages) {
    checker.record({ kind: 'delivered', atNs, subscriber: readerName, ...message });
  }
  return through;
}

/** The final reads: channel by channel, then everything by seq. */
async function readFinally(process: StoreProcess, checker: HistoryChecker): Promise<readonly Violation[]> {
  const violations: Violation[] = [];
  for (const { channel, offset, firstOffset } of await process.call('channels', null)) {
    const { messages } = await process.call('read', { filter: channel });
    const kept = Math.min(offset, countMaxOf.get(channel) ?? offset);
    // The checker accepts every absence that retention explains, so it cannot see that retention trimmed too much.
    if (messages.length < kept || firstOffset > offset - kept + 1) {
      const detail = `${channel} keeps ${messages.length} of ${offset} from ${firstOffset} on; ${kept} are due`;
      violations.push({ rule: 'lost', detail });
    }
    checker.finalRead({ channel, trimmedThrough: firstOffset - 1, messages });
  }
  const { messages } = await process.call('read', { filter: '**' });
  checker.finalReadOfAll(messages);
  return violations;
}

/**
 * Takes over what was said before the instant up to which everything survives. Of publishes that were answered later
 * nothing is known: they are sent again, as are all that were accepted, and one of those with another content.
 */
function recordUntil(
  checker: HistoryChecker,
  history: readonly HistoryEvent[],
  survivesUntilNs: number,
): { readonly publishes: readonly Publish[]; readonly unknownCount: number } {
  const sent = new Map<string, Publish>();
  const accepted = new Set<string>();
  for (const event of history) {
    if (event.kind === 'publish') {
      const { channel, value, client } = event;
      if (client !== retryClient) sent.set(value, { channel, value, countMax: countMaxOf.get(channel) });
    } else if (event.atNs >= survivesUntilNs) {
      continue;
    } else if (event.kind === 'accepted' && sent.has(event.value)) {
      accepted.add(event.value);
    }
    checker.record(event);
  }
  const publishes = [...sent.values()];
  const known = publishes.find(({ value }) => accepted.has(value));
  if (known !== undefined) publishes.push({ ...known, forgedAs: `forged.${known.value}` });
  return { publishes, unknownCount: sent.size - accepted.size };
}

function firstAccept(process: StoreProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    process.onEvent = (event) => {
      if (event.kind === 'accepted') resolve();
    };
    void process.gone.then(() => reject(new Error('the store died before it accepted anything')));
  });
}

function sleep(timeMs: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, timeMs);
  });
}
