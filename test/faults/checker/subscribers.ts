import type { Delivered, GapDeclared, HistoryEvent, ReadStarted, Rule } from './history.ts';
import { isWildcard, matchesFilter } from './filters.ts';
import { name, type ChannelLog, type Known, type Positions } from './positions.ts';
import type { Publishes } from './publishes.ts';
import type { Violations } from './violations.ts';

const contextEventsMax = 8;

/** Offsets that a delivery jumped over; whether that was right is known only at the end. */
interface Jump {
  readonly log: ChannelLog;
  readonly from: number;
  readonly to: number;
  /** The subscriber stood right before `from`, so all of it is above its start. */
  readonly isAboveStart: boolean;
}

/** What one subscriber read in one go, from a start on. Coming back to an earlier place begins another. */
interface Run {
  readonly afterSeq: number | undefined;
  readonly processed: ReadonlySet<number>;
  /** The last offset delivered, by channel life. */
  readonly last: Map<ChannelLog, number>;
  readonly jumps: Jump[];
  lastSeq: number;
}

interface Gap extends GapDeclared {
  readonly startNo: number;
  /** The last message the subscriber had been given by then in this run. */
  readonly after: Known | undefined;
}

interface Subscriber {
  readonly name: string;
  readonly filters: readonly string[];
  readonly withoutClient: string | undefined;
  readonly gaps: Gap[];
  readonly runs: Run[];
  readonly recent: HistoryEvent[];
  /** When each channel was last heard of. */
  readonly heardNs: Map<ChannelLog, number>;
  lastKnown: Known | undefined;
  /** How often it began or came back. */
  starts: number;
  hasStopped: boolean;
}

/** What each subscriber was given, against what is stored: rules 7, 9 and 11. */
export class Subscribers {
  readonly #byName = new Map<string, Subscriber>();
  readonly #violations: Violations;

  constructor(violations: Violations) {
    this.#violations = violations;
  }

  started(event: ReadStarted): void {
    let subscriber = this.#byName.get(event.subscriber);
    if (subscriber === undefined) {
      subscriber = {
        name: event.subscriber,
        filters: event.filters,
        withoutClient: event.withoutClient,
        gaps: [],
        runs: [newRun(event)],
        recent: [],
        heardNs: new Map(),
        lastKnown: undefined,
        starts: 0,
        hasStopped: false,
      };
      this.#byName.set(event.subscriber, subscriber);
    } else if (event.afterSeq !== undefined && event.afterSeq < subscriber.runs.at(-1)!.lastSeq) {
      subscriber.runs.push(newRun(event));
    }
    subscriber.starts += 1;
    remember(subscriber, event);
  }

  delivered(event: Delivered, known: Known, positions: Positions): void {
    const subscriber = this.#of(event.subscriber);
    const run = subscriber.runs.at(-1)!;
    known.isDelivered = true;
    remember(subscriber, event);
    subscriber.heardNs.set(known.log, event.atNs);
    if (event.seq <= run.lastSeq) {
      if (event.redelivered !== true)
        this.#blame('subscriber', subscriber, `was given ${name(known)} after seq ${run.lastSeq}`);
      return;
    }
    const last = run.last.get(known.log);
    const next = (last ?? 0) + 1;
    if (last === undefined && !subscriber.filters.some((filter) => matchesFilter(filter, event.channel)))
      this.#blame('subscriber', subscriber, `never asked for ${name(known)}`);
    if (event.offset < next)
      this.#blame('subscriber', subscriber, `was given ${name(known)} after offset ${next - 1}`);
    const gap = subscriber.gaps.at(-1);
    if (
      gap?.startNo === subscriber.starts &&
      covers(gap, subscriber, known.log, event.offset, event.seq) &&
      isSure(gap, positions)
    )
      this.#blame('false gap', subscriber, `was given ${name(known)} after ${words(gap)}`);
    if (event.offset > next && (last !== undefined || run.afterSeq !== undefined)) {
      run.jumps.push({
        log: known.log,
        from: next,
        to: event.offset - 1,
        isAboveStart: last !== undefined,
      });
    }
    run.last.set(known.log, event.offset);
    run.lastSeq = event.seq;
    subscriber.lastKnown = known;
  }

  gap(event: GapDeclared): void {
    const subscriber = this.#of(event.subscriber);
    const run = subscriber.runs.at(-1)!;
    subscriber.gaps.push({
      ...event,
      startNo: subscriber.starts,
      after: run.last.size > 0 ? subscriber.lastKnown : undefined,
    });
    remember(subscriber, event);
  }

  stopped(subscriberName: string): void {
    this.#of(subscriberName).hasStopped = true;
  }

  /** Call once, after the final reads. `headDeadlineNs`: by when every healthy subscriber must have all. */
  judge(positions: Positions, publishes: Publishes, headDeadlineNs: number): void {
    for (const subscriber of this.#byName.values()) {
      const logs = matchingLogs(subscriber, positions);
      for (const run of subscriber.runs) {
        for (const jump of run.jumps) this.#judgeJump(subscriber, run, jump, publishes);
        for (const log of logs) this.#judgeTail(subscriber, run, log, publishes);
      }
      for (const gap of subscriber.gaps) this.#judgeGap(subscriber, gap, positions);
      if (subscriber.hasStopped) continue;
      for (const [log, heardNs] of subscriber.heardNs) {
        if (heardNs <= headDeadlineNs) continue;
        const lateMs = (heardNs - headDeadlineNs) / 1e6;
        this.#blame('liveness', subscriber, `was still reading ${log.channel} ${lateMs} ms too late`);
      }
    }
  }

  #judgeJump(subscriber: Subscriber, run: Run, jump: Jump, publishes: Publishes): void {
    const { log, from, to, isAboveStart } = jump;
    for (let offset = from; offset <= to; offset += 1) {
      const known = log.known[offset];
      const isMissing =
        known === undefined
          ? isAboveStart && !isCovered(subscriber, log, offset, undefined)
          : hadARightTo(subscriber, run, known, publishes);
      if (!isMissing) continue;
      const what = known === undefined ? `${log.channel}#${offset}` : name(known);
      this.#blame('silent gap', subscriber, `jumped over ${what} and was told of no gap`);
      return;
    }
  }

  /**
   * What follows the last offset delivered of a channel. Below the last seq delivered it was skipped; above it, a
   * subscriber that did not stop had to get it.
   */
  #judgeTail(subscriber: Subscriber, run: Run, log: ChannelLog, publishes: Publishes): void {
    const last = run.last.get(log) ?? 0;
    // Without a start the first delivery was the start, and a channel without one promises nothing.
    if (last === 0 && run.afterSeq === undefined) return;
    const isHealthy = !subscriber.hasStopped && run === subscriber.runs.at(-1);
    for (let offset = log.known.length - 1; offset > last; offset -= 1) {
      const known = log.known[offset];
      if (known === undefined) continue;
      const wasSkipped = known.seq < run.lastSeq;
      if (!wasSkipped && !(isHealthy && known.isFinal)) continue;
      if (!hadARightTo(subscriber, run, known, publishes)) continue;
      if (wasSkipped)
        this.#blame('silent gap', subscriber, `read up to seq ${run.lastSeq} without ${name(known)}`);
      else this.#blame('liveness', subscriber, `never got ${name(known)}`);
      return;
    }
  }

  /** A gap is false when what it says is gone is there. */
  #judgeGap(subscriber: Subscriber, gap: Gap, positions: Positions): void {
    if (gap.reason === 'restored' && gap.after?.isFinal === true) {
      const place = name(gap.after);
      this.#blame(
        'false gap',
        subscriber,
        `was told ${words(gap)}, yet ${place} where it stood is still there`,
      );
    }
    if (gap.from === undefined || gap.to === undefined) return;
    if (!isSure(gap, positions)) return;
    for (const log of positions.livesOf(gap.channel)) {
      for (let offset = gap.from; offset <= gap.to && offset < log.known.length; offset += 1) {
        const known = log.known[offset];
        if (known?.isFinal !== true || known.seq > (gap.nextSeq ?? known.seq)) continue;
        this.#blame('false gap', subscriber, `was told ${words(gap)}, yet ${name(known)} exists`);
        return;
      }
    }
  }

  #blame(rule: Rule, subscriber: Subscriber, detail: string): void {
    this.#violations.add(rule, `${subscriber.name} ${detail}`, [...subscriber.recent]);
  }

  #of(subscriberName: string): Subscriber {
    const subscriber = this.#byName.get(subscriberName);
    if (subscriber === undefined) throw new Error(`history of ${subscriberName} has no start`);
    return subscriber;
  }
}

function newRun({ afterSeq, processed }: ReadStarted): Run {
  return {
    afterSeq,
    processed: new Set(processed),
    last: new Map(),
    jumps: [],
    lastSeq: afterSeq ?? 0,
  };
}

function remember(subscriber: Subscriber, event: HistoryEvent): void {
  if (subscriber.recent.length === contextEventsMax) subscriber.recent.shift();
  subscriber.recent.push(event);
}

function matchingLogs({ filters }: Subscriber, positions: Positions): ReadonlySet<ChannelLog> {
  if (!filters.some(isWildcard)) return new Set(filters.flatMap((filter) => positions.livesOf(filter)));
  const logs = [...positions.logs];
  return new Set(logs.filter((log) => filters.some((filter) => matchesFilter(filter, log.channel))));
}

function hadARightTo(subscriber: Subscriber, run: Run, known: Known, publishes: Publishes): boolean {
  if (known.seq <= (run.afterSeq ?? 0) || run.processed.has(known.seq)) return false;
  if (publishes.mayExpire(known.value)) return false;
  const { withoutClient } = subscriber;
  if (withoutClient !== undefined && publishes.wasSentBy(withoutClient, known.value)) return false;
  return !isCovered(subscriber, known.log, known.offset, known.seq);
}

function isCovered(
  { gaps, filters }: Subscriber,
  log: ChannelLog,
  offset: number,
  seq: number | undefined,
): boolean {
  return gaps.some((gap) => covers(gap, { filters }, log, offset, seq));
}

/** Whether a gap explains that `offset` is missing. One that names no channel, but a filter, speaks of all of them. */
function covers(
  gap: Gap,
  { filters }: Pick<Subscriber, 'filters'>,
  log: ChannelLog,
  offset: number,
  seq: number | undefined,
): boolean {
  if (gap.channel !== log.channel && !(isWildcard(gap.channel) && filters.includes(gap.channel)))
    return false;
  if (gap.reason === 'deleted' && !log.isDropped) return false;
  if (seq !== undefined && gap.nextSeq !== undefined && seq > gap.nextSeq) return false;
  return (gap.from === undefined || offset >= gap.from) && (gap.to === undefined || offset <= gap.to);
}

/** Whether it is clear of which life of a channel a gap speaks: offsets alone do not tell. */
function isSure(gap: Gap, positions: Positions): boolean {
  if (gap.isImplied === true) return false;
  return gap.nextSeq !== undefined || positions.livesOf(gap.channel).length <= 1;
}

function words({ channel, from, to, reason, nextSeq }: GapDeclared): string {
  return `a gap in ${channel} from ${from ?? '?'} to ${to ?? '?'} (${reason}, next seq ${nextSeq ?? '?'})`;
}
