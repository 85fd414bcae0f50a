import type { Position, Filter } from '@everywire/protocol';
import type { Gap } from '../seams/store.ts';

/**
 * In a wildcard's gap only one channel lacks messages; the others continue from the reader's place. So the next valid
 * cursor is that place: a reader that kept the gap's cursor would skip them.
 */
export function readableGap(filter: Filter, gap: Gap, position: Position): Gap {
  return filter.channel !== undefined || gap.reason === 'restored' ? gap : { ...gap, next: position };
}

/** The gaps that a reader may know of: without the right to a channel, a reader must not learn what the channel held. */
export function readableGaps(
  filter: Filter,
  gaps: readonly Gap[],
  { position, mayDeliver }: { readonly position: Position; readonly mayDeliver: MayDeliver },
): readonly Gap[] {
  return gaps
    .filter((gap) => mayBeTold(filter, gap, mayDeliver))
    .map((gap) => readableGap(filter, gap, position));
}

export function mayBeTold(filter: Filter, { channel, reason }: Gap, mayDeliver: MayDeliver): boolean {
  // That of a restored log is of no channel, but of all that the filter matches.
  return mayDeliver === undefined || reason === 'restored' || channel === filter.text || mayDeliver(channel);
}

/** Which channels a reader may be given; undefined: all that match its filter. */
export type MayDeliver = ((channel: string) => boolean) | undefined;
