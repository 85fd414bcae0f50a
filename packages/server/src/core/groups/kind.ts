import type { DurableKind } from '../durable/kind.ts';
import { checkEarlierProgress } from '../durable/progress.ts';
import type { DurableRow } from '../durable/row.ts';
import type { Limits } from '../limits.ts';

/** The state of a consumer group beside its position. */
export interface GroupState {
  /** It stays without members. */
  readonly isKept: boolean;
}

/** Rows of so many bytes take the time of another save: a group with a long window must not keep the disk busy. */
const bytesPerSave = 64 * 1024;
const earlierVersion = 1;

/** Consumer groups as durable sessions, by group and filter. */
export function groupKind({ groupIdleMs, groupsMax }: Limits): DurableKind<GroupState> {
  return {
    what: 'consumer groups',
    table: 'groups',
    keepMs: groupIdleMs,
    readState: readGroupState,
    earlier: readEarlierGroup,
    // A group that started again would deliver everything once more, or nothing of what it missed.
    unreadable: 'refuse',
    quota: { policy: 'refuse', max: groupsMax, perSubjectMax: undefined },
    bytesPerSave,
  };
}

function readGroupState(stored: unknown): GroupState | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const { isKept } = stored as Partial<GroupState>;
  return typeof isKept === 'boolean' ? { isKept } : undefined;
}

/** Version 0.1 wrote `{version: 1, cursor, ackedAhead, deliveredThroughSeq, hasMembers, isKept}`. */
export function readEarlierGroup(bytes: Buffer, key: string): DurableRow | undefined {
  const row = JSON.parse(bytes.toString()) as Readonly<Record<string, unknown>>;
  const progress = checkEarlierProgress(row);
  const { version, hasMembers, isKept } = row;
  const isSound =
    version === earlierVersion && typeof hasMembers === 'boolean' && typeof isKept === 'boolean';
  if (!isSound || progress === undefined) return undefined;
  return {
    node: undefined,
    // It did not say since when it was without members: that counts from the start of the server.
    presence: hasMembers ? 'open' : 'drained',
    sinceMs: 0,
    keepMs: undefined,
    subject: undefined,
    rights: undefined,
    maybeDeliveredThroughSeq: 0,
    // The group's own name has no slash.
    subscriptions: [{ id: '', filter: key.slice(key.indexOf('/') + 1), progress }],
    state: { isKept } satisfies GroupState,
  };
}
