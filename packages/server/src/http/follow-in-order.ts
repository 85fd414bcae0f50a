import { formatCursor, type From } from '@everywire/protocol';
import type { Limits } from '../core/limits.ts';
import type { HubFront } from '../core/seams/hub-api.ts';
import type { Session } from '../core/seams/session-api.ts';
import type { Order, OrderOptions, Subscription } from '../core/seams/subscription-api.ts';

export interface FollowOptions extends Omit<OrderOptions, 'waitingBytesMax'> {
  readonly from: From | undefined;
  readonly host: { readonly hub: HubFront; readonly limits: Limits };
  /** For a group: keep it while its members are away. */
  readonly keepGroup?: boolean;
}

/** The subscriptions of one response, before their start. */
export interface Followed {
  /** The source of the position: the subscription of one filter, or the order of several. */
  readonly place: Pick<Order, 'cursor' | 'isLive' | 'startGaps'>;
  readonly subscriptions: readonly Subscription[];
  readonly start: () => void;
}

/** Subscribes to the filters of one response, in the order of the store. @throws EverywireError for a refusal of the hub */
export async function followInOrder(
  session: Session,
  filters: readonly string[],
  { from, host, keepGroup, ...bounds }: FollowOptions,
): Promise<Followed> {
  const [only] = filters;
  if (filters.length === 1) {
    const place = await session.subscribe(only!, { from, keepGroup, ...bounds });
    return { place, subscriptions: [place], start: () => place.start() };
  }
  const order = session.order({ waitingBytesMax: host.limits.outboundBytesMax, ...bounds });
  // "From now" must be one position for all filters. Otherwise a message between two subscriptions would reach only one
  // of them.
  const start = from ?? { after: formatCursor(host.hub.head) };
  const starts = await startsOf(session, filters, start);
  const subscriptions: Subscription[] = [];
  for (const [at, filter] of filters.entries()) {
    subscriptions.push(await session.subscribe(filter, { from: starts[at]!, order }));
  }
  return {
    place: order,
    subscriptions,
    start: () => {
      for (const subscription of subscriptions) subscription.start();
    },
  };
}

/** The last messages are counted over all filters, as they are over all channels of one filter. */
async function startsOf(session: Session, filters: readonly string[], start: From): Promise<readonly From[]> {
  if (!('since' in start) || start.since.kind !== 'last') return filters.map(() => start);
  const cursors = await session.locate(filters, start.since);
  return cursors.map((after) => ({ after }));
}
