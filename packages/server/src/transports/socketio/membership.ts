import { isGroupName, spellingOf } from '../../core/groups/name.ts';
import type { SocketIoLimits } from './limits.ts';
import type { Credit, Subscription } from '../../core/seams/subscription-api.ts';
import type { Order } from './order.ts';

/**
 * A group (`$share/<group>/<filter>`) that a peer is a member of. A group keeps its own place, so it has no part in the one
 * order of the peer's filters, nor in where the peer comes back to: what it brings leaves at once.
 */
export class Membership implements Credit {
  readonly name: string;
  readonly #order: Order;
  /** Undefined until the hub has taken it in. */
  subscription: Subscription | undefined;

  constructor(name: string, order: Order) {
    this.name = name;
    this.#order = order;
  }

  get available(): number {
    return this.#order.isOpen ? Number.POSITIVE_INFINITY : 0;
  }
}

/**
 * The one spelling of a filter or group as a peer in a namespace names it. A group is no channel: what is in front of the
 * channels of the namespace goes in front of the group's filter.
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
