import type { Message } from '../../core/log/message.ts';
import type { BatchBase, ChannelDraft } from './channel-draft.ts';
import type { Write } from './database.ts';
import { channelSeqKey, publishIdKey } from './keys.ts';
import {
  type ChannelState,
  decodePublish,
  decodePublishLog,
  encodePublish,
  encodePublishLog,
  type PublishRow,
  seal,
  unseal,
} from './rows.ts';

/** Publish ids: those of earlier commits, and those that one batch adds to them. */
export class PublishIds {
  readonly #base: BatchBase;
  readonly #writes: Write[];
  readonly #rows = new Map<string, PublishRow>();

  /** @param writes where the rows go that are to be committed */
  constructor(base: BatchBase, writes: Write[]) {
    this.#base = base;
    this.#writes = writes;
  }

  find(channelNo: number, id: string): PublishRow | undefined {
    const inBatch = this.#rows.get(`${channelNo}\n${id}`);
    if (inBatch !== undefined) return inBatch;
    const key = publishIdKey(channelNo, id);
    const row = this.#base.database.get('publishIds', key);
    const content = row && unseal(key, row);
    return content && decodePublish(content);
  }

  add(draft: ChannelDraft, id: string, fingerprint: string, message: Message): void {
    const { seq, offset, tag, timeMs } = message;
    const row: PublishRow = { fingerprint, seq, offset, tag, id: message.id, timeMs };
    const { no } = draft.state;
    this.#rows.set(`${no}\n${id}`, row);
    draft.publishIds.push(id);
    const key = publishIdKey(no, id);
    this.#writes.push({ table: 'publishIds', key, value: seal(key, encodePublish(row)) });
  }

  /** Notes which ids the batch added to a channel, and forgets the oldest. */
  finish(draft: ChannelDraft): void {
    if (draft.publishIds.length > 0) this.#log(draft);
    else if (draft.trimTo?.forgetsIds === true && draft.state.publishIds > 0) this.#forget(draft, 1_000);
  }

  #log(draft: ChannelDraft): void {
    // Two at a time is more than one commit adds.
    this.#forget(draft, 2);
    const { state, publishIds } = draft;
    const key = channelSeqKey(state.no, this.#base.headSeq + 1);
    const row = encodePublishLog({ atMs: this.#base.nowMs, ids: publishIds });
    this.#writes.push({ table: 'publishLog', key, value: seal(key, row) });
    draft.state = { ...state, publishIds: state.publishIds + publishIds.length };
  }

  #forget(draft: ChannelDraft, commitsMax: number): void {
    const forgotten = forgetPublishIds(draft.state, this.#base, commitsMax, this.#writes);
    if (forgotten === 0) return;
    draft.state = { ...draft.state, publishIds: draft.state.publishIds - forgotten };
  }
}

/** Forgets publish ids that are too old or too many, of at most `commitsMax` commits. Returns how many. */
function forgetPublishIds(
  state: ChannelState,
  { database, limits, nowMs }: Pick<BatchBase, 'database' | 'limits' | 'nowMs'>,
  commitsMax: number,
  writes: Write[],
): number {
  let forgotten = 0;
  const range = { from: channelSeqKey(state.no, 0), to: channelSeqKey(state.no + 1, 0), limit: commitsMax };
  for (const { key, value } of database.range('publishLog', range)) {
    const content = unseal(key, value);
    const row = content && decodePublishLog(content);
    const isOld = row === undefined || row.atMs <= nowMs - limits.publishIdAgeMsMax;
    if (!isOld && state.publishIds - forgotten <= limits.publishIdsMax) break;
    for (const id of row?.ids ?? [])
      writes.push({ table: 'publishIds', key: publishIdKey(state.no, id), value: undefined });
    writes.push({ table: 'publishLog', key: Buffer.from(key), value: undefined });
    forgotten += row?.ids.length ?? 0;
  }
  return Math.min(forgotten, state.publishIds);
}
