import { parseCursor } from '@everywire/protocol';
import type { Subscription } from '../../core/seams/subscription-api.ts';

/** A filter that a peer follows. */
export class Following {
  readonly filter: string;
  /** Undefined until the hub has found its place. */
  subscription: Subscription | undefined;
  /** The peer needs nothing at or below this place, wherever it comes back from. */
  floor = '';

  constructor(filter: string) {
    this.filter = filter;
  }
}

export function seqOf(cursor: string): number {
  return parseCursor(cursor)?.seq ?? 0;
}

/** The later of two places. */
export function laterOf(left: string, right: string | undefined): string {
  return right === undefined || seqOf(left) >= seqOf(right) ? left : right;
}
