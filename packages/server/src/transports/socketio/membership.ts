import type { From } from '@everywire/protocol';
import { isGroupName, spellingOf } from '../../core/groups/name.ts';
import type { SocketIoLimits } from './limits.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';

/**
 * A group (`$share/<group>/<filter>`) that a peer is a member of. A group keeps its own position, so it has no part in the
 * common order of the peer's filters, nor in the position that the peer comes back to: its messages leave at once.
 */
export class Membership {
  readonly name: string;
  /** Undefined until the hub has admitted it. */
  subscription: Subscription | undefined;

  constructor(name: string) {
    this.name = name;
  }
}

/** The groups that one peer is a member of. */
export class Memberships {
  readonly #session: Session;
  #all: readonly Membership[] = [];

  constructor(session: Session) {
    this.#session = session;
  }

  /** `undefined`: none. */
  get names(): readonly string[] | undefined {
    return this.#all.length === 0 ? undefined : this.#all.map(({ name }) => name);
  }

  find(name: string): Membership | undefined {
    return this.#all.find((membership) => membership.name === name);
  }

  /** Enters a group. It delivers nothing before its subscription is started. @throws EverywireError */
  async enter(name: string, from: From | undefined): Promise<Membership> {
    const membership = new Membership(name);
    membership.subscription = await this.#session.subscribe(name, { from, tag: membership });
    // If the peer asks twice, the second membership starts before the first ends, so that the group does not end in
    // between.
    const before = this.find(name);
    this.#all = [...this.#all, membership];
    if (before !== undefined) this.leave(before);
    return membership;
  }

  start(): void {
    for (const { subscription } of this.#all) subscription?.start();
  }

  leave(membership: Membership): void {
    this.#all = this.#all.filter((other) => other !== membership);
    membership.subscription?.cancel();
  }

  leaveAll(): void {
    for (const membership of this.#all) this.leave(membership);
  }

  /** The session has ended, and its subscriptions with it. */
  clear(): void {
    this.#all = [];
  }
}

/**
 * The full name of a filter or group that a peer names within its namespace. A group is not a channel: the prefix of the
 * namespace's channels goes in front of the group's filter.
 * @throws EverywireError `bad_name`
 */
export function nameInNamespace(
  given: string,
  channelPrefix: string,
  limits: Pick<SocketIoLimits, 'nameBytesMax' | 'nameLevelsMax' | 'filterWildcardsMax'>,
): string {
  if (!isGroupName(given)) return spellingOf(channelPrefix + given, limits);
  const groupAt = given.indexOf('/') + 1;
  const filterAt = given.indexOf('/', groupAt) + 1;
  const isWhole = filterAt > groupAt;
  return spellingOf(
    isWhole ? given.slice(0, filterAt) + channelPrefix + given.slice(filterAt) : given,
    limits,
  );
}
