import type { BatchBase, ChannelDraft, TrimTo } from './channel-draft.ts';
import type { OldestBlock } from './channels.ts';
import { seqOfChannelKey } from './keys.ts';
import type { Mark } from './rows.ts';

/** A record on its way out. */
interface Oldest extends Mark {
  readonly payloadBytes: number;
  readonly timeMs: number;
}

/**
 * Trims a channel exactly to its bounds. Only the state says so at once: a block that was trimmed whole is deleted by a
 * later commit, because until this one is done readers still count on it.
 */
export function trimOldest(draft: ChannelDraft, { retention, oldestMs }: TrimTo, base: BatchBase): void {
  const { state } = draft;
  const { newest } = state;
  let { bytes } = state;
  let trimmed: Mark | undefined = state.trimmed;
  let count = newest.offset - (trimmed?.offset ?? 0);
  const isOver = (): boolean => count > retention.countMax || bytes > retention.bytesMax;
  if (!isOver() && oldestMs === -Infinity) return;
  const doomed: number[] = [];
  for (const oldest of oldestRecords(draft, base, doomed)) {
    if (!isOver() && oldest.timeMs >= oldestMs) break;
    // Damaged records in between are gone as well, of any kind.
    count = newest.offset - oldest.offset;
    bytes -= oldest.payloadBytes;
    trimmed = { seq: oldest.seq, offset: oldest.offset, tag: oldest.tag };
  }
  if (trimmed === undefined || trimmed === state.trimmed) return;
  const throughSeq = trimmed.seq;
  draft.doomed = doomed.filter((firstSeq) => firstSeq <= throughSeq);
  draft.state = { ...state, trimmed, bytes: count === 0 ? 0 : Math.max(0, bytes) };
}

/** Records that are not trimmed, oldest first; notes each row that has been gone through. */
function* oldestRecords(
  draft: ChannelDraft,
  base: BatchBase,
  doomed: number[],
): Generator<Oldest, void, undefined> {
  const { channel, state } = draft;
  const above = state.trimmed?.seq ?? 0;
  if (channel !== undefined && channel.state.no === state.no && channel.count > 0) {
    const partlyRead = channel.oldest;
    if (partlyRead !== undefined) yield* recordsOf(partlyRead, above, doomed);
    const resumeSeq = Math.max(above, partlyRead?.heads.at(-1)?.seq ?? 0);
    for (const { key, value } of base.blocks.rowsAfter(state.no, resumeSeq)) {
      const firstSeq = seqOfChannelKey(key);
      if (firstSeq > base.headSeq) break;
      if (firstSeq === partlyRead?.firstSeq) continue;
      const block = { firstSeq, heads: base.blocks.heads(channel.state, firstSeq, value) };
      channel.oldest = block;
      yield* recordsOf(block, above, doomed);
    }
  }
  for (const { seq, offset, tag, timeMs, payload } of draft.added) {
    yield { seq, offset, tag, timeMs, payloadBytes: payload.length };
  }
}

function* recordsOf(block: OldestBlock, above: number, doomed: number[]): Generator<Oldest, void, undefined> {
  for (const head of block.heads) if (head.seq > above) yield head;
  doomed.push(block.firstSeq);
}
