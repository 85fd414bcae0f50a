import type { EverywireError } from '@everywire/protocol';
import type { Figures, Traffic } from './seams/hub-api.ts';

/** Upper bounds of a histogram's buckets, in milliseconds: from a memory store's publish to a disk that hangs. */
const boundsMs = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000] as const;

/** How long something took, counted in buckets. Counting is a loop over a few numbers, and makes no object. */
export class Durations {
  readonly boundsMs: readonly number[] = boundsMs;
  /** By bucket; one more for what took longer than the last bound. */
  readonly counts = new Float64Array(boundsMs.length + 1);
  sumMs = 0;

  observe(durationMs: number): void {
    let at = 0;
    while (at < boundsMs.length && durationMs > boundsMs[at]!) at += 1;
    this.counts[at]! += 1;
    this.sumMs += durationMs;
  }
}

export function createFigures(): Figures {
  return {
    published: 0,
    refused: 0,
    rateLimited: 0,
    delivered: 0,
    deliveryTurns: 0,
    subscriptions: 0,
    subscriptionsByTransport: new Map(),
    sessions: new Map(),
    traffic: new Map(),
    refusedByCode: new Map(),
    gaps: new Map(),
    publishing: new Durations(),
    delivering: new Durations(),
  };
}

/** The counters of a transport, which are made on first use. */
export function trafficOf({ traffic }: Pick<Figures, 'traffic'>, transport: string): Traffic {
  let counters = traffic.get(transport);
  if (counters === undefined) {
    counters = { published: 0, publishedBytes: 0, delivered: 0, deliveredBytes: 0 };
    traffic.set(transport, counters);
  }
  return counters;
}

/** Messages that were refused. */
export function countRefusal(
  figures: Pick<Figures, 'refused' | 'refusedByCode'>,
  { code }: EverywireError,
  count = 1,
): void {
  figures.refused += count;
  figures.refusedByCode.set(code, (figures.refusedByCode.get(code) ?? 0) + count);
}
