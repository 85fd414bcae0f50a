import { formatCursor, type Position, type Start } from '@everywire/protocol';
import type { CatchUp } from './catch-up.ts';
import { isSamePlace } from '../log/page-cache.ts';
import { readableGaps } from './readable-gap.ts';
import type { Store } from '../seams/store.ts';
import type { LogSubscription } from './subscription.ts';

/** What beginning needs of the hub. */
export interface BeginHost {
  readonly store: Store;
  readonly head: Position;
  readonly catchUp: CatchUp;
}

/** A place as a peer showed it, or a described one. Neither: from now on. */
export interface BeginAt {
  readonly cursor?: Position | undefined;
  readonly since?: Start | undefined;
}

/** Finds the place to begin and notes what is missing there, for `start`. The subscription may have ended meanwhile. */
export async function begin(
  host: BeginHost,
  subscription: LogSubscription,
  { cursor, since }: BeginAt,
): Promise<void> {
  const { fanout } = subscription;
  // "From now on" is when the peer asked: what it publishes right behind that, before we are ready, is delivered.
  const now = host.head;
  await fanout.ready;
  if (hasEnded(subscription)) return;
  const isFromNow = cursor === undefined && (since === undefined || since.kind === 'latest');
  let position = cursor ?? now;
  if (!isFromNow && cursor === undefined) position = await host.store.locate(fanout.filter, since!);
  if (hasEnded(subscription)) return;
  subscription.beginAt(position);
  if (isFromNow || isSamePlace(position, host.head)) {
    // Nothing to read unless messages come before it is started.
    subscription.startCursor = formatCursor(position);
    return;
  }
  const { page, gaps } = await host.catchUp.firstPage(fanout.filter, position);
  if (hasEnded(subscription)) return;
  const { mayDeliver } = subscription;
  subscription.startGaps = readableGaps(fanout.filter, gaps, { position, mayDeliver });
  // The place that was asked for may be none of this log.
  const isOtherLog = gaps.some(({ reason }) => reason === 'restored');
  subscription.beginAt(subscription.startGaps[0]?.next ?? position, isOtherLog);
  subscription.startCursor = formatCursor(subscription.position);
  subscription.firstPage = page;
}

function hasEnded(subscription: LogSubscription): boolean {
  return subscription.stage === 'ended';
}
