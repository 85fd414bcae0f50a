import type { Position } from '@everywire/protocol';
import type { Filter } from './filter.ts';
import type { Gap } from './store.ts';

/**
 * In a wildcard's gap only one channel lacks messages; the others go on from where the reader stood. The next valid
 * cursor is then that place itself, or a reader that kept the gap's cursor would skip them.
 */
export function readableGap(filter: Filter, gap: Gap, position: Position): Gap {
  return filter.channel !== undefined || gap.reason === 'restored' ? gap : { ...gap, next: position };
}
