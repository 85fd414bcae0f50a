import { Batch } from '../log/batch.ts';
import type { Message } from '../log/message.ts';

interface Merge {
  readonly sources: readonly Batch[];
  readonly throughSeq: number;
  readonly batch: Batch;
}

/** Merges of one batch that are remembered: sets of filters that several sessions follow, and their places. */
const mergesMax = 8;

/** By their first source: batches that were merged for one session, for others that follow the same filters. */
export type MergedBatches = WeakMap<Batch, Merge[]>;

/**
 * The messages of `sources` up to `throughSeq` in the order of the store, each once. Sessions that follow the same filters
 * get the same batch, and so the same bytes.
 */
export function mergeBatches(merged: MergedBatches, sources: readonly Batch[], throughSeq: number): Batch {
  const [first] = sources;
  if (sources.length === 1) {
    const count = first!.messages.findIndex(({ seq }) => seq > throughSeq);
    return count < 0 ? first! : first!.first(count);
  }
  const merges = merged.get(first!) ?? [];
  const known = merges.find(
    (merge) =>
      merge.throughSeq === throughSeq &&
      merge.sources.length === sources.length &&
      merge.sources.every((source, at) => source === sources[at]),
  );
  if (known !== undefined) return known.batch;
  const bySeq = new Map<number, Message>();
  for (const { messages } of sources) {
    for (const message of messages) if (message.seq <= throughSeq) bySeq.set(message.seq, message);
  }
  const batch = new Batch([...bySeq.values()].sort((left, right) => left.seq - right.seq));
  merged.set(first!, [...merges.slice(1 - mergesMax), { sources, throughSeq, batch }]);
  return batch;
}
