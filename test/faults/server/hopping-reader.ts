import { setTimeout as sleep } from 'node:timers/promises';
import { parseCursor, type Envelope, type GapNotice } from '@everywire/protocol';
import type { HistoryChecker } from '../checker/checker.ts';
import { isWildcard } from '../checker/filters.ts';
import type { Sighting } from '../checker/history.ts';
import type { Cut, OpenReading, ReadWire } from './read-wires.ts';

/** Before a connection that ended is opened again. */
const comeBackAfterMs = 25;

export function nowNs(): number {
  return performance.now() * 1e6;
}

/** What an envelope shows. The cursor is taken apart here, by the judge alone; clients only hand it back. */
export function sightingOf(envelope: Pick<Envelope, 'channel' | 'offset' | 'cursor' | 'data'>): Sighting {
  const { epoch, seq, tag } = parseCursor(envelope.cursor)!;
  return {
    channel: envelope.channel,
    offset: envelope.offset,
    epoch,
    seq,
    tag,
    value: String(envelope.data),
  };
}

/** A reader that resumes from its cursor over the wire that the test chooses, through cuts and dead servers. */
export class HoppingReader {
  readonly name: string;
  readonly filter: string;
  readonly #http: string;
  readonly #checker: HistoryChecker;
  #wire: ReadWire;
  #cursor: string;
  #open: OpenReading | undefined;
  #isStopped = false;
  delivered = 0;
  readonly finished: Promise<void>;

  constructor(options: {
    readonly name: string;
    readonly filter: string;
    readonly http: string;
    /** A cursor of the place before the first message. */
    readonly from: string;
    readonly wire: ReadWire;
    readonly checker: HistoryChecker;
  }) {
    this.name = options.name;
    this.filter = options.filter;
    this.#http = options.http;
    this.#cursor = options.from;
    this.#wire = options.wire;
    this.#checker = options.checker;
    this.finished = this.#run();
  }

  /** The seq of its cursor. */
  get seq(): number {
    return parseCursor(this.#cursor)!.seq;
  }

  hop(wire: ReadWire, how: Cut): void {
    this.#wire = wire;
    this.#open?.cut(how);
  }

  stop(): void {
    this.#isStopped = true;
    this.#open?.cut('fin');
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const { name: subscriber, filter } = this;
      this.#checker.record({
        kind: 'start',
        atNs: nowNs(),
        subscriber,
        filters: [filter],
        afterSeq: this.seq,
      });
      this.#open = this.#wire.open(this.#http, filter, this.#cursor, {
        message: (envelope) => this.#message(envelope),
        gap: (notice) => this.#gap(notice),
        place: (cursor) => (this.#cursor = cursor),
      });
      await this.#open.ended;
      await sleep(comeBackAfterMs);
    }
  }

  #message(envelope: Envelope): void {
    this.delivered += 1;
    this.#cursor = envelope.cursor;
    const subscriber = this.name;
    this.#checker.record({ kind: 'delivered', atNs: nowNs(), subscriber, ...sightingOf(envelope) });
  }

  #gap({ channel, from, to, reason, cursor }: GapNotice): void {
    this.#cursor = cursor;
    const nextSeq = isWildcard(this.filter) ? undefined : parseCursor(cursor)!.seq;
    this.#checker.record({
      kind: 'gap',
      atNs: nowNs(),
      subscriber: this.name,
      channel,
      from,
      to,
      reason,
      nextSeq,
    });
  }
}
