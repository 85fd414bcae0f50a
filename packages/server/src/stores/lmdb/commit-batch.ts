import { EverywireError } from '@everywire/protocol';
import { type Draft, Message, type Place } from '../../core/log/message.ts';
import type { LeaseChanges } from '../../core/cluster/leases.ts';
import { StaleWrite } from '../../core/cluster/stale-write.ts';
import type {
  Appended,
  AppendOptions,
  Entry,
  Feed,
  Guard,
  Placement,
  RecordWrite,
  Retention,
  WriteConditions,
} from '../../core/seams/store.ts';
import { checkConditions, type ConditionState, doHold } from '../conditions.ts';
import { conflict, fingerprint, ownDraft } from '../drafts.ts';
import { endedLivesMax } from '../trim-point.ts';
import { newEpoch } from '../epoch-history.ts';
import { fitting, refusalFor, type Holdings } from '../quotas.ts';
import {
  type BatchBase,
  type ChannelDraft,
  createDraft,
  type TrimTo,
  writeChannel,
} from './channel-draft.ts';
import type { Channel } from './channels.ts';
import type { TableName, Write } from './database.ts';
import { nameKey, numberKey, recordKey, seqKey } from './keys.ts';
import { PublishIds } from './publish-ids.ts';
import { recordBytes } from './record.ts';
import { getRecord } from './records.ts';
import { type ChannelState, encodeSegment, type PublishRow, seal } from './rows.ts';
import { trimOldest } from './trim.ts';

type Event =
  | { readonly kind: 'appended'; readonly message: Message }
  | { readonly kind: 'dropped'; readonly channel: string };

/**
 * All writes of one commit. It works on copies: until the commit is durable no reader sees anything of it, and when the
 * commit fails nothing has to be undone.
 */
export class CommitBatch implements Holdings, ConditionState {
  readonly #base: BatchBase;
  readonly #drafts = new Map<string, ChannelDraft>();
  readonly #messages: Message[] = [];
  readonly #channelNos: number[] = [];
  /** Records that this batch writes, by their keys. */
  readonly #recordRows = new Map<string, Buffer | undefined>();
  readonly #writes: Write[] = [];
  readonly #publishIds: PublishIds;
  readonly #events: Event[] = [];
  #nextChannelNo: number;
  /** Channels that this batch makes, less those that it deletes. */
  #moreChannels = 0;
  /** Channels in which this batch retains a message; one that was retained there before counts again. */
  #moreRetained = 0;

  constructor(base: BatchBase) {
    this.#base = base;
    this.#publishIds = new PublishIds(base, this.#writes);
    this.#nextChannelNo = base.nextChannelNo;
  }

  get leases(): LeaseChanges {
    return this.#base.leases;
  }

  get nextChannelNo(): number {
    return this.#nextChannelNo;
  }

  get channels(): number {
    return this.#base.channels.liveCount + this.#moreChannels;
  }

  get retained(): number {
    return this.#base.database.count('retained') + this.#moreRetained;
  }

  hasChannel(name: string): boolean {
    return this.#draft(name)?.state.isLive === true;
  }

  hasRetained(name: string): boolean {
    const retained = this.#drafts.get(name)?.retained;
    if (retained !== undefined) return retained !== 'removed';
    return this.hasChannel(name) && this.#base.database.get('retained', nameKey(name)) !== undefined;
  }

  get newest(): Message | undefined {
    return this.#messages.at(-1);
  }

  get drafts(): Iterable<ChannelDraft> {
    return this.#drafts.values();
  }

  /** @throws StaleWrite */
  append(entries: readonly Entry[], options: AppendOptions): readonly Appended[] {
    if (!doHold(options, this)) return this.#placesBefore(entries);
    const refusal = options.atomic === true ? this.#refusalOf(entries) : undefined;
    if (refusal !== undefined) return entries.map(() => refusal);
    const results = entries.map((entry) => this.#place(entry));
    if (options.records !== undefined && !results.some((result) => result instanceof EverywireError))
      this.#writeRecords(options.records);
    return results;
  }

  /** @throws StaleWrite */
  writeRecords(writes: readonly RecordWrite[], conditions: WriteConditions): void {
    checkConditions(conditions, this);
    this.#writeRecords(writes);
  }

  row(table: string, key: string): Buffer | undefined {
    const rowKey = `${table}\0${key}`;
    if (this.#recordRows.has(rowKey)) return this.#recordRows.get(rowKey);
    return getRecord(this.#base.database, table, key);
  }

  tokenOf(lease: string): string | undefined {
    return this.leases.tokenOf(lease);
  }

  /** Whether there was such a channel. */
  drop(name: string): boolean {
    const draft = this.#draft(name);
    if (draft?.state.isLive !== true) return false;
    this.#moreChannels -= 1;
    if (typeof draft.retained === 'object') this.#moreRetained -= 1;
    const { state } = draft;
    const ended = [...state.ended, { ...state.newest, no: state.no }];
    draft.state = {
      ...state,
      isLive: false,
      ended: ended.slice(-endedLivesMax),
      endedBeforeSeq: ended.at(-endedLivesMax - 1)?.seq ?? state.endedBeforeSeq,
      trimmed: undefined,
      bytes: 0,
      publishIds: 0,
    };
    draft.added.length = 0;
    draft.sizes.length = 0;
    draft.publishIds.length = 0;
    draft.retained = 'removed';
    draft.trimTo = undefined;
    draft.doomed = [];
    // Its rows may be many; the sweep removes them in chunks.
    const key = Buffer.from(`purge/${state.no}`);
    this.write('meta', key, seal(key, Buffer.alloc(1)));
    this.#events.push({ kind: 'dropped', channel: name });
    return true;
  }

  /** Removes messages older than `trimTo`, when the channel is committed. */
  trim(name: string, trimTo: TrimTo): void {
    const draft = this.#draft(name);
    if (draft?.state.isLive === true) draft.trimTo = trimTo;
  }

  write(table: TableName, key: Buffer, value: Buffer | undefined): void {
    this.#writes.push({ table, key, value });
  }

  /** All writes of the commit; empty when there is nothing to store. */
  finish(): readonly Write[] {
    for (const draft of this.#drafts.values()) {
      if (draft.trimTo !== undefined) trimOldest(draft, draft.trimTo, this.#base);
      this.#publishIds.finish(draft);
      if (draft.state !== draft.channel?.state) writeChannel(draft, this.#base, this.#writes);
    }
    if (this.#messages.length > 0) {
      const key = seqKey(this.#base.headSeq + 1);
      const rows = this.#messages.map(({ offset, tag }, index) => ({
        channelNo: this.#channelNos[index]!,
        offset,
        tag,
      }));
      this.write('segments', key, seal(key, encodeSegment(rows)));
    }
    return this.#writes;
  }

  /** Tells the feed, in seq order, in runs of one channel. */
  tell(feed: Feed): void {
    let run: Message[] = [];
    const flush = (): void => {
      if (run.length > 0) feed.appended(run[0]!.channel, run);
      run = [];
    };
    for (const event of this.#events) {
      if (event.kind === 'dropped') {
        flush();
        feed.dropped(event.channel);
        continue;
      }
      if (run.length > 0 && run[0]!.channel !== event.message.channel) flush();
      run.push(event.message);
    }
    flush();
  }

  #writeRecords(writes: readonly RecordWrite[]): void {
    for (const { table, key, value } of writes) {
      const rowKey = recordKey(table, key);
      this.write('records', rowKey, value && seal(rowKey, value));
      this.#recordRows.set(`${table}\0${key}`, value);
    }
  }

  /** Where entries were stored by an earlier call. @throws StaleWrite unless all of them were */
  #placesBefore(entries: readonly Entry[]): readonly Placement[] {
    if (entries.length === 0) throw new StaleWrite();
    return entries.map(({ channel, draft }) => {
      const state = this.#draft(channel)?.state;
      const before =
        draft.key !== undefined && state?.isLive === true
          ? this.#publishIds.find(state.no, draft.key)
          : undefined;
      if (before?.fingerprint !== fingerprint(draft)) throw new StaleWrite();
      return this.#duplicate(channel, before);
    });
  }

  #place(entry: Entry): Appended {
    const { channel, draft, retention } = entry;
    const known = this.#draft(channel);
    const mark = draft.key === undefined ? undefined : fingerprint(draft);
    const isLive = known?.state.isLive === true;
    if (mark !== undefined && isLive) {
      const before = this.#publishIds.find(known.state.no, draft.key!);
      if (before !== undefined) {
        return before.fingerprint === mark ? this.#duplicate(channel, before) : conflict();
      }
    }
    const isPlain = isLive && draft.retain !== true;
    const stored = isPlain ? draft : fitting(entry, this, this.#base.limits);
    if (stored instanceof EverywireError) return stored;
    const target = isLive ? known : this.#make(channel, known);
    const message = this.#add(target, stored, retention);
    if (mark !== undefined) this.#publishIds.add(target, draft.key!, mark, message);
    return placement(channel, message, message, false);
  }

  #add(target: ChannelDraft, draft: Draft, retention: Retention): Message {
    const { state } = target;
    const place: Place = {
      epoch: this.#base.epoch,
      seq: this.#base.headSeq + this.#messages.length + 1,
      offset: state.newest.offset + 1,
      tag: this.#base.tags.next(),
    };
    const { payload } = draft;
    const message = new Message(state.name, place, ownDraft(draft));
    const { seq, offset, tag } = place;
    // A copy of the place, not the message: the state of a quiet channel must not keep its last payload alive.
    target.state = { ...state, newest: { seq, offset, tag }, bytes: state.bytes + payload.length };
    target.added.push(message);
    target.sizes.push(recordBytes(draft));
    target.trimTo = { retention, oldestMs: -Infinity, forgetsIds: false };
    if (draft.retain === true) this.#retain(target, payload.length === 0 ? 'removed' : message);
    this.#messages.push(message);
    this.#channelNos.push(state.no);
    this.#events.push({ kind: 'appended', message });
    return message;
  }

  #retain(target: ChannelDraft, retained: Message | 'removed'): void {
    this.#moreRetained += Number(retained !== 'removed') - Number(typeof target.retained === 'object');
    target.retained = retained;
  }

  #draft(name: string): ChannelDraft | undefined {
    const known = this.#drafts.get(name);
    if (known !== undefined) return known;
    const channel = this.#base.channels.get(name);
    if (channel === undefined) return undefined;
    return this.#keep(channel.state, channel);
  }

  /** A new life, behind the tombstone of an earlier one if there was one. */
  #make(name: string, before: ChannelDraft | undefined): ChannelDraft {
    const state: ChannelState = {
      name,
      no: this.#nextChannelNo,
      epoch: newEpoch(this.#base.random),
      newest: { seq: 0, offset: 0, tag: '0000000000000000' },
      trimmed: undefined,
      bytes: 0,
      publishIds: 0,
      ended: before?.state.ended ?? [],
      endedBeforeSeq: before?.state.endedBeforeSeq ?? 0,
      isLive: true,
    };
    this.#nextChannelNo += 1;
    this.#moreChannels += 1;
    this.write('numbers', numberKey(state.no), Buffer.from(name));
    const made = this.#keep(state, before?.channel);
    if (before?.retained === 'removed') made.retained = 'removed';
    return made;
  }

  #keep(state: ChannelState, channel: Channel | undefined): ChannelDraft {
    const draft = createDraft(state, channel, this.#base.epoch);
    this.#drafts.set(state.name, draft);
    return draft;
  }

  /** For all or none: refusals are looked for before anything is placed. */
  #refusalOf(entries: readonly Entry[]): EverywireError | undefined {
    if (this.#hasConflict(entries)) return conflict();
    const news = entries.filter(({ channel, draft }) => {
      const state = this.#draft(channel)?.state;
      if (draft.key === undefined || state?.isLive !== true) return true;
      return this.#publishIds.find(state.no, draft.key) === undefined;
    });
    return refusalFor(news, this, this.#base.limits);
  }

  #hasConflict(entries: readonly Entry[]): boolean {
    const inThisCall = new Map<string, string>();
    for (const { channel, draft } of entries) {
      if (draft.key === undefined) continue;
      const mark = fingerprint(draft);
      const name = `${channel}\n${draft.key}`;
      const state = this.#draft(channel)?.state;
      const stored =
        state?.isLive === true ? this.#publishIds.find(state.no, draft.key)?.fingerprint : undefined;
      const known = inThisCall.get(name) ?? stored;
      if (known !== undefined && known !== mark) return true;
      inThisCall.set(name, mark);
    }
    return false;
  }

  #duplicate(channel: string, row: PublishRow): Placement {
    const epoch =
      row.seq > this.#base.headSeq ? this.#base.epoch : this.#base.channels.history.epochOf(row.seq);
    return placement(channel, { ...row, epoch }, row, true);
  }
}

function placement(
  channel: string,
  { epoch, seq, offset, tag }: Place,
  { id, timeMs }: Pick<Message, 'id' | 'timeMs'>,
  duplicate: boolean,
): Placement {
  return { channel, epoch, seq, offset, tag, id, timeMs, duplicate };
}

/** Keys that LMDB could not take, found before anything of their call is stored. */
export function checkRecordKeys(rows: readonly (RecordWrite | Guard)[], keyBytesMax: number): void {
  for (const { table, key } of rows) {
    if (table.includes('\0') || recordKey(table, key).length > keyBytesMax) {
      throw new EverywireError('invalid', `A record's table and key have at most ${keyBytesMax - 1} bytes.`);
    }
  }
}
