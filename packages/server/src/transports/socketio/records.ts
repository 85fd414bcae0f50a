import type { Identity } from '../../core/sessions/access.ts';
import type { Random, Timer } from '../../core/clock.ts';
import { DurableSessions } from '../../core/durable/durable-sessions.ts';
import type { DurableHolder, DurableKind, DurableSession, Found } from '../../core/durable/kind.ts';
import { checkProgress, type SubscriptionProgress } from '../../core/durable/progress.ts';
import type { DurableRow } from '../../core/durable/row.ts';
import type { DurableServices } from '../../core/durable/services.ts';
import type { SocketIoLimits } from './limits.ts';

/**
 * The state that a peer comes back to, by its `pid`: its identity, its filters, and the lowest position of each. The peer's
 * own position is not here: the peer sends it, or, while it polls, the row of its engine session has it.
 */
export interface SessionRecord extends SessionState {
  readonly identity: Identity;
  /** Filters, each with the cursor below which the peer needs nothing. */
  readonly follows: readonly (readonly [filter: string, floor: string])[];
}

/** What a row of a session has beside its subscriptions. */
export interface SessionState {
  readonly sid: string;
  readonly ioNamespace: string;
  /** Groups that it is a member of; they keep their own positions. */
  readonly groups?: readonly string[] | undefined;
  /**
   * The last cursor that the peer had when a filter started before that position. A peer that comes back with this cursor
   * has none of the messages that followed.
   */
  readonly turnedAt?: string | undefined;
  /** `turnedAt` may be the cursor of a message that followed as well. */
  readonly isTurnUnclear?: boolean | undefined;
}

/** The state of a session that polls, by its engine's `sid`. */
export interface PollState {
  /** Namespaces, each with its session and the last cursor that an answered poll carried. */
  readonly sockets: readonly (readonly [ioNamespace: string, pid: string, cursor: string | null])[];
  /** Packets that were not in an answered poll yet. */
  readonly waiting: readonly string[];
}

type RecordLimits = Pick<
  SocketIoLimits,
  'ioSessionAgeMsMax' | 'ioSessionsMax' | 'ioSessionsPerSubjectMax' | 'ioPollAgeMsMax'
>;

export interface RecordsOptions {
  readonly durable: DurableServices;
  readonly limits: RecordLimits;
  readonly random: Random;
}

const pidShape = /^[0-9a-z]{9}[A-Za-z0-9_-]{24}$/;
const pidTimeDigits = 9;
const pidBytes = 18;
const sweepEveryMs = 60_000;
/** The row of a session that polls has no owner, since any request with its `sid` may use it; its sessions have an owner. */
const noOwner: Identity = { subject: undefined, isAdmin: false };

/** Sessions that outlive the process, and the positions of those that poll. */
export class SessionRecords {
  readonly sessions: DurableSessions<SessionState>;
  readonly polls: DurableSessions<PollState>;
  readonly #options: RecordsOptions;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: RecordsOptions) {
    const { limits, durable } = options;
    this.#options = options;
    this.sessions = new DurableSessions(sessionKind(limits), durable);
    this.polls = new DurableSessions(pollKind(limits), durable);
  }

  /** Starts to remove rows that are too old, or too many. */
  async start(): Promise<void> {
    await Promise.all([this.sessions.start(), this.polls.start()]);
    this.#sweepLater();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await Promise.all([this.sessions.stop(), this.polls.stop()]);
  }

  /** An id that begins with the time, so that the oldest come first in the table; the rest cannot be guessed. */
  newPid(): string {
    const { durable, random } = this.#options;
    const time = durable.clock.nowMs().toString(36).padStart(pidTimeDigits, '0');
    return time + Buffer.from(random.hex(pidBytes), 'hex').toString('base64url');
  }

  /** Reads a session without taking it: its present owner keeps it. */
  async session(pid: string): Promise<SessionRecord | undefined> {
    if (!pidShape.test(pid)) return undefined;
    const found = await this.#young(this.sessions, pid);
    return found && recordOf(found);
  }

  /** Takes a session from its present owner, and returns its stored state. */
  openSession(
    pid: string,
    holder: DurableHolder,
    identity: Identity,
  ): Promise<{ readonly session: DurableSession; readonly found: Found<SessionState> | undefined }> {
    return this.sessions.open(pid, holder, { identity, keepMs: this.#options.limits.ioSessionAgeMsMax });
  }

  async poll(sid: string): Promise<PollState | undefined> {
    return (await this.#young(this.polls, sid))?.state;
  }

  openPoll(
    sid: string,
    holder: DurableHolder,
  ): Promise<{ readonly session: DurableSession; readonly found: Found<PollState> | undefined }> {
    return this.polls.open(sid, holder, { identity: noOwner, keepMs: this.#options.limits.ioPollAgeMsMax });
  }

  /** Removes rows that were not used for long, and the oldest sessions above the limit of their subject and of all. */
  async sweep(): Promise<void> {
    await this.polls.sweep();
    await this.sessions.sweep();
  }

  #sweepLater(): void {
    const { clock, log } = this.#options.durable;
    this.#timer = clock.after(sweepEveryMs, () => {
      this.sweep()
        .catch((cause: unknown) => log.warn({ err: cause }, 'old Socket.IO sessions were not removed'))
        .finally(() => {
          if (!this.#isStopped) this.#sweepLater();
        });
    });
  }

  async #young<State>(kept: DurableSessions<State>, key: string): Promise<Found<State> | undefined> {
    const loaded = await kept.rows.load(key, 0);
    if (loaded === undefined) return undefined;
    const ageMs = this.#options.durable.clock.nowMs() - loaded.row.sinceMs;
    return ageMs > loaded.row.keepMs! ? undefined : loaded.found;
  }
}

/** Never rejects: if the row cannot be removed at once, a sweep removes it later. */
export async function removed(session: DurableSession): Promise<void> {
  if (!session.isOpen) return;
  try {
    await session.remove();
  } catch {
    session.removeSoon();
  }
}

export function recordOf({ subject, rights, subscriptions, state }: Found<SessionState>): SessionRecord {
  return {
    ...state,
    identity: { subject, isAdmin: false, ...rights },
    follows: subscriptions.map(({ filter, progress }) => [filter, progress.cursor]),
  };
}

/** A filter in a row: its peer acknowledges nothing, and sends its position itself. */
export function followed(filter: string, floor: string): SubscriptionProgress {
  return { id: '', filter, progress: { cursor: floor, acksAboveWatermark: [], deliveredWatermark: 0 } };
}

export function sessionKind(limits: RecordLimits): DurableKind<SessionState> {
  return {
    what: 'Socket.IO sessions',
    table: 'socketio.sessions',
    keepMs: limits.ioSessionAgeMsMax,
    readState: readSessionState,
    earlier: readEarlierSession,
    quota: { policy: 'evict', max: limits.ioSessionsMax, perSubjectMax: limits.ioSessionsPerSubjectMax },
  };
}

export function pollKind(limits: RecordLimits): DurableKind<PollState> {
  return {
    what: 'Socket.IO sessions that poll',
    table: 'socketio.polls',
    keepMs: limits.ioPollAgeMsMax,
    readState: readPollState,
    earlier: readEarlierPoll,
    // Each has a session, which counts.
    quota: { policy: 'evict', max: Number.POSITIVE_INFINITY, perSubjectMax: undefined },
  };
}

function readSessionState(stored: unknown): SessionState | undefined {
  const { sid, ioNamespace, groups = [], turnedAt = '' } = (stored ?? {}) as Partial<SessionState>;
  const isSound = isText(sid) && isText(ioNamespace) && isListOf(groups, isText) && isText(turnedAt);
  return isSound ? (stored as SessionState) : undefined;
}

function readPollState(stored: unknown): PollState | undefined {
  const { sockets, waiting } = (stored ?? {}) as Partial<PollState>;
  const isSound = isListOf(sockets, isPolledSocket) && isListOf(waiting, isText);
  return isSound ? (stored as PollState) : undefined;
}

function isPolledSocket(socket: unknown): boolean {
  if (!Array.isArray(socket)) return false;
  const [ioNamespace, pid, cursor] = socket as unknown[];
  return isText(ioNamespace) && isText(pid) && (cursor === null || isText(cursor));
}

/** Version 0.1 wrote rows without a format. */
function readEarlierSession(value: Buffer): DurableRow | undefined {
  const row = JSON.parse(value.toString()) as Partial<SessionRecord & { readonly atMs: unknown }>;
  const { atMs, identity, follows, sid, ioNamespace, groups, turnedAt, isTurnUnclear } = row;
  const isSound =
    typeof identity === 'object' &&
    (identity as Identity | null) !== null &&
    typeof identity.isAdmin === 'boolean' &&
    (identity.subject === undefined || isText(identity.subject)) &&
    isListOf(follows, (follow) => isListOf(follow, isText) && follow.length === 2);
  if (!isSound) return undefined;
  const { subject, isAdmin, claims } = identity;
  const subscriptions = follows.map(([filter, floor]) => followed(filter, floor));
  if (!subscriptions.every(({ progress }) => checkProgress(progress) !== undefined)) return undefined;
  const state = { sid, ioNamespace, groups, turnedAt, isTurnUnclear };
  return earlierRow(atMs, { subject, rights: { isAdmin, claims }, subscriptions, state });
}

function readEarlierPoll(value: Buffer): DurableRow | undefined {
  const { atMs, sockets, waiting } = JSON.parse(value.toString()) as Partial<
    PollState & { readonly atMs: unknown }
  >;
  const state = { sockets, waiting };
  return earlierRow(atMs, { subject: undefined, rights: undefined, subscriptions: [], state });
}

function earlierRow(
  atMs: unknown,
  kept: Pick<DurableRow, 'subject' | 'rights' | 'subscriptions' | 'state'>,
): DurableRow | undefined {
  if (typeof atMs !== 'number') return undefined;
  return {
    ...kept,
    node: undefined,
    presence: 'away',
    sinceMs: atMs,
    keepMs: undefined,
    maybeDeliveredThroughSeq: 0,
  };
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isListOf<T>(value: unknown, isOne: (one: unknown) => one is T): value is readonly T[];
function isListOf(value: unknown, isOne: (one: unknown) => boolean): value is readonly unknown[];
function isListOf(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne);
}
