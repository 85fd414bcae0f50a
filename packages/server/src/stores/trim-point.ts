import type { Position } from '@everywire/protocol';
import type { Gap } from '../core/seams/store.ts';

/**
 * Up to where a channel's messages are gone. It outlives them, so that readers that had not read them get a gap notice.
 */
export interface TrimPoint {
  readonly channel: string;
  /** The number of the life that lost them: a channel made again has another. */
  readonly channelNo: number;
  /** The place of the last message that is gone. */
  readonly through: Position;
  /** Its offset. */
  readonly offset: number;
  /** Where the lives ended that are no longer remembered one by one, without their offsets; 0 for no such life. */
  readonly earlierSeq: number;
  readonly reason: 'retention' | 'deleted';
}

export interface LostRange {
  readonly from: number;
  readonly to: number;
}

/** Ended lives of one channel that are remembered each. */
export const endedLivesMax = 16;

/** Gaps of one page that are named channel by channel; further ones are summed up in one. */
const gapsPerPageMax = 100;

/** One gap for each trim point, or for the first of them and one under the filter's text for the rest. */
export function summarise(gaps: readonly Gap[], filterText: string, next: Position): readonly Gap[] {
  if (gaps.length <= gapsPerPageMax) return gaps;
  const rest = gaps[gapsPerPageMax]!;
  return [...gaps.slice(0, gapsPerPageMax), { channel: filterText, reason: rest.reason, next }];
}
