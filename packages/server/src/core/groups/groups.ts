import { EverywireError, formatCursor, parseCursor, type Position } from '@everywire/protocol';
import type { Clock } from '../clock.ts';
import { DurableSessions } from '../durable/durable-sessions.ts';
import type { DurableHolder, DurableSession } from '../durable/kind.ts';
import type { DurableServices } from '../durable/services.ts';
import type { Dispatcher } from '../fanout/dispatcher.ts';
import { findStart, type StartAt } from '../fanout/find-start.ts';
import type { Limits } from '../limits.ts';
import type { Log } from '../seams/log.ts';
import { Group, type GroupHost } from './group.ts';
import { groupKind, type GroupState } from './kind.ts';
import type { GroupMember } from './member.ts';
import { parseGroupName, type GroupName } from './name.ts';

export interface GroupsParts {
  readonly dispatcher: Dispatcher;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly durable: DurableServices;
  readonly log: Log;
  isDraining(): boolean;
  /** A sink threw: the member ends, and its peer. */
  broken(member: GroupMember, cause: unknown): void;
}

/** The server itself keeps groups: no subject has a share of them. */
const server = { subject: undefined, isAdmin: false };
/** A position this far behind the head is saved again, before the store forgets the message there. */
const staleAfterSeqs = 500_000;
/** Before a removal that failed is tried again. */
const retryMs = 5_000;

/**
 * All consumer groups of this server. Each is a durable session with one subscription. Its row says where the group was at
 * its last save. After a crash, messages above that position are delivered again, and marked as repetitions up to the head
 * at which the server opened the store.
 *
 * One process distributes the messages of a group: the one that holds the lease of its session.
 */
export class Groups {
  readonly #parts: GroupsParts;
  readonly #log: Log;
  readonly #groupHost: GroupHost;
  readonly #kept: DurableSessions<GroupState>;
  readonly #live = new Map<string, Group>();
  readonly #sessions = new Map<Group, DurableSession>();
  readonly #savedSeqs = new Map<Group, number>();
  #isStopped = false;

  constructor(parts: GroupsParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#kept = new DurableSessions(groupKind(parts.limits), parts.durable);
    this.#groupHost = {
      clock: parts.clock,
      reader: parts.dispatcher.catchUp,
      spanMessagesMax: parts.limits.groupSpanMessagesMax,
      progressed: (group) => this.#progressed(group),
      emptied: (group) => this.#emptied(group),
      broken: (member, cause) => parts.broken(member, cause),
    };
  }

  /** Groups that this process distributes now. */
  get size(): number {
    return this.#live.size;
  }

  /** Finds the groups in the store, which is open. */
  load(): Promise<void> {
    return this.#kept.start();
  }

  /**
   * The group of that name: a live one, or one that starts at `at` unless its row says where it was.
   * @throws EverywireError `quota_exceeded`
   */
  find({ key, filter }: GroupName, at: StartAt): Group {
    const known = this.#live.get(key);
    if (known !== undefined) return known;
    this.#kept.checkRoom(key, server);
    const { dispatcher } = this.#parts;
    const { head } = dispatcher;
    const group = new Group(this.#groupHost, key, dispatcher.fanoutOf(filter), head);
    this.#live.set(key, group);
    group.ready = this.#begin(group, at, head);
    return group;
  }

  keep(group: Group): void {
    if (group.isKept) return;
    group.isKept = true;
    this.#progressed(group);
  }

  /** No longer keeps the group without members: it ends with its last one, or at once. @throws EverywireError `bad_name` */
  forget(name: string): void {
    const { key } = parseGroupName(name, this.#parts.limits);
    const group = this.#live.get(key);
    if (group === undefined) {
      this.#remove(key);
      return;
    }
    group.isKept = false;
    this.#progressed(group);
  }

  /** Removes groups that stayed without members for too long, and keeps the positions of the others from growing stale. */
  sweep(): void {
    this.#kept.expire();
    const staleSeq = this.#parts.dispatcher.head.seq - staleAfterSeqs;
    for (const [group, seq] of this.#savedSeqs) if (seq < staleSeq) this.#progressed(group);
  }

  /** Saves what is not saved yet. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#kept.stop();
  }

  async #begin(group: Group, { cursor, since }: StartAt, now: Position): Promise<void> {
    const { dispatcher } = this.#parts;
    const { subscription, key } = group;
    const { session, found } = await this.#kept.open(key, this.#holderOf(group), {
      identity: server,
      keepMs: this.#parts.limits.groupIdleMs,
    });
    if (hasEnded(group)) {
      // Never saved: its row stays as it was.
      await session.leave();
      return;
    }
    this.#sessions.set(group, session);
    const kept = found?.subscriptions[0];
    group.hasRecord = kept !== undefined;
    group.isKept ||= found?.state.isKept ?? false;
    let progress = kept?.progress;
    if (progress === undefined) {
      const isFromNow = since === undefined || since.kind === 'latest';
      const { filter } = subscription.fanout;
      const start = cursor ?? (isFromNow ? now : await dispatcher.store.locate(filter, since));
      progress = { cursor: formatCursor(start), acksAboveWatermark: [], deliveredWatermark: start.seq };
    }
    if (hasEnded(group)) return;
    group.restore(progress);
    // Before anything is delivered: after a crash, the row must say that messages may have been.
    await session.save();
    if (hasEnded(group)) return;
    const isReady = group.fanout.ready;
    await findStart(dispatcher, { subscription, isReady }, { cursor: parseCursor(progress.cursor)! });
    if (hasEnded(group)) return;
    group.hasStarted = true;
    subscription.start();
  }

  #holderOf(group: Group): DurableHolder {
    return {
      subscriptions: () => {
        const { progress } = group;
        this.#savedSeqs.set(group, parseCursor(progress.cursor)!.seq);
        return [{ id: '', filter: group.fanout.filter.text, progress }];
      },
      state: (): GroupState => ({ isKept: group.isKept }),
      // Its members come back, and reach the node that has the lease now.
      lost: () => {
        group.close({ error: new EverywireError('going_away', 'Another node has this consumer group.') });
        return undefined;
      },
    };
  }

  #progressed(group: Group): void {
    if (group.hasStarted && !hasEnded(group)) this.#sessions.get(group)?.saveSoon();
  }

  #emptied(group: Group): void {
    const session = this.#sessions.get(group);
    // A server that shuts down sends the members away: they did not leave.
    const isDrain = this.#parts.isDraining();
    const stays = group.hasStarted ? group.isKept || isDrain : group.hasRecord;
    if (session !== undefined && stays) this.#report(session.leave({ soon: true, isDrain }));
    else session?.removeSoon();
    group.end();
    this.#live.delete(group.key);
    this.#sessions.delete(group);
    this.#savedSeqs.delete(group);
  }

  #remove(key: string): void {
    this.#kept.remove(key).catch((cause: unknown) => {
      this.#log.warn({ err: cause }, 'a consumer group could not be removed; trying again');
      if (this.#isStopped) return;
      this.#parts.clock.after(retryMs, () => {
        if (!this.#live.has(key)) this.#remove(key);
      });
    });
  }

  #report(done: Promise<void>): void {
    done.catch((cause: unknown) => this.#log.warn({ err: cause }, 'a consumer group could not be saved'));
  }
}

/** It may end while something is awaited, which the compiler cannot see. */
function hasEnded({ subscription }: Group): boolean {
  return subscription.stage === 'ended';
}
