import { EverywireError, formatCursor, parseCursor, type Position, type Filter } from '@everywire/protocol';
import { begin, type BeginAt, type BeginHost } from '../fanout/find-start.ts';
import type { Clock, Timer } from '../clock.ts';
import type { ChannelFanout } from '../fanout/channel-fanout.ts';
import type { Limits } from '../limits.ts';
import type { Log } from '../seams/log.ts';
import type { Progress } from '../seams/subscription-api.ts';
import { Group, type GroupHost } from './group.ts';
import type { GroupMember } from './member.ts';
import { parseGroupName, type GroupName } from './name.ts';
import { decodeGroupRecord, encodeGroupRecord } from './record.ts';

/** What groups need of the hub. */
export interface GroupsHost extends BeginHost {
  readonly clock: Clock;
  readonly limits: Limits;
  readonly isDraining: boolean;
  fanoutOf(filter: Filter): ChannelFanout;
  broken(member: GroupMember, cause: unknown): void;
}

const table = 'groups';
/** How long what changed may wait to be saved with other changes. A crash costs as much in repetitions. */
const saveEveryMs = 50;
/** Rows of so many bytes take that time once more: a group with a long window must not keep the disk busy. */
const bytesPerSave = 64 * 1024;
const rowsPerPage = 1_000;
/** A place this far behind the head is saved anew, before the store forgets what was there. */
const staleAfterSeqs = 500_000;

/**
 * All groups of this server. The record of a group says where it stood at its last save; while it has members, the record
 * is behind by what was acknowledged in the last moments. After a crash that comes again, and is marked like everything
 * that may have been delivered: up to the head at which this server opened the store.
 *
 * One process hands out a group's messages. For several on one store, a group needs an host: a row beside its record with
 * the node and a lease, taken over in the same transaction that reads the record; the others would send their members'
 * room and acks there. What members see would stay the same.
 */
export class Groups {
  readonly #host: GroupsHost;
  readonly #log: Log;
  readonly #groupHost: GroupHost;
  readonly #live = new Map<string, Group>();
  /** Without members: key → since when, on this server's own clock. In the order in which they became so. */
  readonly #idle = new Map<string, number>();
  readonly #dirty = new Set<Group>();
  /** Records of groups that begin or have ended, until they are written; `undefined` removes. */
  readonly #unsaved = new Map<string, Buffer | undefined>();
  readonly #savedSeqs = new Map<Group, number>();
  /** One write after the other. */
  #writing: Promise<void> = Promise.resolve();
  #saveTimer: Timer | undefined;
  #lastSaveBytes = 0;
  #openedAtSeq = 0;
  #isStopped = false;

  constructor(host: GroupsHost, log: Log) {
    this.#host = host;
    this.#log = log;
    this.#groupHost = {
      clock: host.clock,
      catchUp: host.catchUp,
      spanMessagesMax: host.limits.groupSpanMessagesMax,
      progressed: (group) => this.#progressed(group),
      emptied: (group) => this.#emptied(group),
      broken: (member, cause) => host.broken(member, cause),
    };
  }

  /** Learns which groups there are; the store is open. */
  async load(): Promise<void> {
    this.#openedAtSeq = this.#host.head.seq;
    const nowMs = this.#host.clock.monotonicMs();
    for (let after: string | undefined; ;) {
      const rows = await this.#host.store.records.list(table, '', after, rowsPerPage);
      for (const { key } of rows) this.#idle.set(key, nowMs);
      if (rows.length < rowsPerPage) return;
      after = rows.at(-1)!.key;
    }
  }

  /**
   * The group of that name: the one there is, or one that begins at `at` once its record was looked for.
   * @throws EverywireError `quota_exceeded`
   */
  find({ key, filter }: GroupName, at: BeginAt): Group {
    const known = this.#live.get(key);
    if (known !== undefined) return known;
    const { groupsMax } = this.#host.limits;
    if (!this.#idle.has(key) && this.#live.size + this.#idle.size >= groupsMax) {
      throw new EverywireError('quota_exceeded', `There are at most ${groupsMax} groups.`);
    }
    const { head } = this.#host;
    const group = new Group(this.#groupHost, key, this.#host.fanoutOf(filter), head);
    this.#live.set(key, group);
    group.hasRecord = this.#idle.delete(key);
    group.ready = this.#begin(group, at, head);
    return group;
  }

  keep(group: Group): void {
    if (group.isKept) return;
    group.isKept = true;
    this.#progressed(group);
  }

  /** Its place is kept no longer: it ends with its last member, at once when it has none. @throws EverywireError `bad_name` */
  forget(name: string): void {
    const { key } = parseGroupName(name, this.#host.limits);
    const group = this.#live.get(key);
    if (group !== undefined) {
      group.isKept = false;
      this.#progressed(group);
    } else if (this.#idle.delete(key)) {
      this.#unsaved.set(key, undefined);
      this.#saveSoon();
    }
  }

  /** Forgets groups that nobody has come back to, and keeps the places of those with members from growing stale. */
  sweep(): void {
    const untilMs = this.#host.clock.monotonicMs() - this.#host.limits.groupIdleMs;
    for (const [key, sinceMs] of this.#idle) {
      if (sinceMs > untilMs) break;
      this.#idle.delete(key);
      this.#unsaved.set(key, undefined);
      this.#saveSoon();
    }
    const staleSeq = this.#host.head.seq - staleAfterSeqs;
    for (const [group, seq] of this.#savedSeqs) if (seq < staleSeq) this.#progressed(group);
  }

  /** Saves what is not saved yet. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#saveTimer?.cancel();
    try {
      await this.#write();
    } catch (cause) {
      this.#log.error({ err: cause }, 'the last progress of groups could not be saved; it will be repeated');
    }
  }

  async #begin(group: Group, { cursor, since }: BeginAt, now: Position): Promise<void> {
    const { subscription, key } = group;
    const bytes = this.#unsaved.has(key)
      ? this.#unsaved.get(key)
      : await this.#host.store.records.get(table, key);
    if (hasEnded(group)) return;
    group.hasRecord ||= bytes !== undefined;
    const record = bytes && decodeGroupRecord(bytes);
    if (bytes !== undefined && record === undefined) {
      throw new EverywireError('internal', 'The record of this group cannot be read by this version.');
    }
    let progress: Progress;
    if (record === undefined) {
      const isFromNow = since === undefined || since.kind === 'latest';
      const { filter } = subscription.fanout;
      const start = cursor ?? (isFromNow ? now : await this.#host.store.locate(filter, since));
      progress = { cursor: formatCursor(start), ackedAhead: [], deliveredThroughSeq: start.seq };
    } else {
      group.isKept ||= record.isKept;
      const { deliveredThroughSeq } = record.progress;
      progress = record.hasMembers
        ? { ...record.progress, deliveredThroughSeq: Math.max(deliveredThroughSeq, this.#openedAtSeq) }
        : record.progress;
    }
    if (hasEnded(group)) return;
    group.restore(progress);
    // Before anything is delivered: after a crash, what was delivered by then must be known to have been.
    this.#unsaved.set(key, encodeGroupRecord({ progress, hasMembers: true, isKept: group.isKept }));
    await this.#write();
    if (hasEnded(group)) return;
    await begin(this.#host, subscription, { cursor: parseCursor(progress.cursor)! });
    if (hasEnded(group)) return;
    group.hasBegun = true;
    subscription.start();
    this.#savedSeqs.set(group, parseCursor(progress.cursor)!.seq);
  }

  #progressed(group: Group): void {
    if (!group.hasBegun || hasEnded(group)) return;
    this.#dirty.add(group);
    this.#saveSoon();
  }

  #emptied(group: Group): void {
    const { key, progress } = group;
    group.end();
    this.#live.delete(key);
    this.#dirty.delete(group);
    this.#savedSeqs.delete(group);
    // Whoever stops the server sends the members away: they did not leave.
    const stays = group.isKept || this.#host.isDraining;
    if (group.hasBegun && stays)
      this.#unsaved.set(key, encodeGroupRecord({ progress, hasMembers: false, isKept: group.isKept }));
    else if (group.hasBegun || !group.hasRecord) this.#unsaved.set(key, undefined);
    if (group.hasBegun ? stays : group.hasRecord) this.#idle.set(key, this.#host.clock.monotonicMs());
    this.#write().catch((cause: unknown) => this.#saveAgain(cause));
  }

  #saveSoon(): void {
    if (this.#saveTimer !== undefined || this.#isStopped) return;
    const delayMs = saveEveryMs * (1 + Math.floor(this.#lastSaveBytes / bytesPerSave));
    this.#saveTimer = this.#host.clock.after(delayMs, () => {
      this.#saveTimer = undefined;
      this.#write().catch((cause: unknown) => this.#saveAgain(cause));
    });
  }

  #saveAgain(cause: unknown): void {
    this.#log.warn({ err: cause }, 'the progress of groups could not be saved; trying again');
    this.#saveSoon();
  }

  /** Writes everything that has to be, behind what is being written. */
  #write(): Promise<void> {
    const written = this.#writing.then(() => this.#writeOut());
    this.#writing = written.catch(() => undefined);
    return written;
  }

  async #writeOut(): Promise<void> {
    const groups = [...this.#dirty];
    this.#dirty.clear();
    const begunOrEnded = new Map(this.#unsaved);
    const rows = new Map(begunOrEnded);
    for (const group of groups) {
      const { progress, isKept } = group;
      rows.set(group.key, encodeGroupRecord({ progress, hasMembers: true, isKept }));
      this.#savedSeqs.set(group, parseCursor(progress.cursor)!.seq);
    }
    if (rows.size === 0) return;
    const writes = [...rows].map(([key, value]) => ({ table, key, value }));
    this.#lastSaveBytes = writes.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    try {
      await this.#host.store.records.write(writes);
    } catch (cause) {
      for (const group of groups) if (!hasEnded(group)) this.#dirty.add(group);
      throw cause;
    }
    for (const [key, row] of begunOrEnded) if (this.#unsaved.get(key) === row) this.#unsaved.delete(key);
  }
}

/** It may end while something is awaited, which the compiler cannot see. */
function hasEnded({ subscription }: Group): boolean {
  return subscription.stage === 'ended';
}
