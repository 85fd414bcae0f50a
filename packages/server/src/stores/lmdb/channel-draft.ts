import type { Random } from '../../core/clock.ts';
import type { LeaseChanges } from '../../core/cluster/leases.ts';
import type { Message } from '../../core/log/message.ts';
import type { Limits } from '../../core/limits.ts';
import type { Retention } from '../../core/seams/store.ts';
import type { Tags } from '../drafts.ts';
import type { StoreQuotas } from '../quotas.ts';
import { type Blocks, packBlocks } from './blocks.ts';
import type { Channel, Channels } from './channels.ts';
import type { Database, Write } from './database.ts';
import { channelSeqKey, nameKey, seqOfChannelKey } from './keys.ts';
import { crcSeed } from './record.ts';
import { type ChannelState, encodeChannel, seal } from './rows.ts';

/** The base of a batch: the newest commit. */
export interface BatchBase {
  readonly database: Database;
  readonly channels: Channels;
  readonly blocks: Blocks;
  readonly epoch: string;
  readonly headSeq: number;
  readonly nextChannelNo: number;
  readonly tags: Tags;
  readonly random: Random;
  readonly limits: StoreQuotas & Pick<Limits, 'publishIdAgeMsMax' | 'publishIdsMax'>;
  readonly leases: LeaseChanges;
  readonly nowMs: number;
}

/** A channel as this batch leaves it. */
export interface ChannelDraft {
  state: ChannelState;
  /** The committed state; `undefined` for a channel that this batch makes. */
  readonly channel: Channel | undefined;
  readonly seed: number;
  readonly added: Message[];
  readonly sizes: number[];
  readonly publishIds: string[];
  retained: Message | 'removed' | undefined;
  trimTo: TrimTo | undefined;
  /** Blocks that this batch trims whole; the next one may delete them. */
  doomed: readonly number[];
}

export interface TrimTo {
  readonly retention: Retention;
  /** Messages published before this are removed. */
  readonly oldestMs: number;
  /** Also forgets publish ids that are too old, which an append with a publish id does by itself. */
  readonly forgetsIds: boolean;
}

export function createDraft(state: ChannelState, channel: Channel | undefined, epoch: string): ChannelDraft {
  return {
    state,
    channel,
    seed: crcSeed(state.name, state.epoch, epoch),
    added: [],
    sizes: [],
    publishIds: [],
    retained: undefined,
    trimTo: undefined,
    doomed: [],
  };
}

/** The rows of a channel that changed: blocks of new messages, those to delete, its retained message and its state. */
export function writeChannel(
  draft: ChannelDraft,
  { database }: Pick<BatchBase, 'database'>,
  writes: Write[],
): void {
  const { channel, state, added, sizes, seed } = draft;
  const keptFrom = state.trimmed?.seq ?? 0;
  const firstKept = added.findIndex((message) => message.seq > keptFrom);
  if (firstKept >= 0) {
    packBlocks(added.slice(firstKept), sizes.slice(firstKept), seed, (firstSeq, value) => {
      writes.push({ table: 'blocks', key: channelSeqKey(state.no, firstSeq), value });
    });
  }
  if (channel?.state.no === state.no && state.isLive) {
    for (const firstSeq of channel.doomed ?? leftBehind(database, channel.state))
      writes.push({ table: 'blocks', key: channelSeqKey(state.no, firstSeq), value: undefined });
  }
  const key = nameKey(state.name);
  if (draft.retained !== undefined)
    writes.push({ table: 'retained', key, value: retainedRow(draft, draft.retained) });
  writes.push({ table: 'channels', key, value: seal(key, encodeChannel(state)) });
}

function retainedRow(
  { seed, sizes, added, state }: ChannelDraft,
  retained: Message | 'removed',
): Buffer | undefined {
  if (retained === 'removed') return undefined;
  let row: Buffer | undefined;
  packBlocks([retained], [sizes[added.indexOf(retained)]!], seed, (_seq, record) => {
    // The life is part of the row, because the CRC of the record is bound to its epoch.
    row = Buffer.concat([Buffer.from(state.epoch, 'latin1'), record]);
  });
  return row;
}

/** Rows below the trim point that an earlier life of this process left behind: all but the one the trim point is in. */
function leftBehind(database: Database, { no, trimmed }: ChannelState): readonly number[] {
  if (trimmed === undefined) return [];
  const range = { from: channelSeqKey(no, 0), to: channelSeqKey(no, trimmed.seq + 1) };
  const rows = Array.from(database.keys('blocks', range), seqOfChannelKey);
  return rows.slice(0, -1);
}
