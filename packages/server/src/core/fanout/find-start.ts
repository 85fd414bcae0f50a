import type { Filter, Position, Start } from '@everywire/protocol';
import { isSamePlace, type CachedPage } from '../log/page-cache.ts';
import type { Gap, Store } from '../seams/store.ts';
import { readableGaps } from './readable-gap.ts';
import type { LogSubscription } from './subscription.ts';

/** What finding a start needs of the core. */
export interface StartFinder {
  readonly store: Store;
  readonly head: Position;
  /** The first page after a position that a peer gave, and the gaps there. */
  firstPage(
    filter: Filter,
    position: Position,
  ): Promise<{ readonly page: CachedPage; readonly gaps: readonly Gap[] }>;
}

/** A place as a peer showed it, or a described one. Neither: from now on. */
export interface StartAt {
  readonly cursor?: Position | undefined;
  readonly since?: Start | undefined;
}

/**
 * Finds the place where the subscription starts, and the gaps there. The subscription may have ended meanwhile.
 * @param isReady resolves when the fan-out follows its filter
 */
export async function findStart(
  finder: StartFinder,
  { subscription, isReady }: { readonly subscription: LogSubscription; readonly isReady: Promise<void> },
  { cursor, since }: StartAt,
): Promise<void> {
  const { filter } = subscription.fanout;
  // "From now on" means the time of the request: messages that the peer publishes right after it, before we are ready,
  // are delivered.
  const now = finder.head;
  await isReady;
  if (hasEnded(subscription)) return;
  const isFromNow = cursor === undefined && (since === undefined || since.kind === 'latest');
  let position = cursor ?? now;
  if (!isFromNow && cursor === undefined) position = await finder.store.locate(filter, since!);
  if (hasEnded(subscription)) return;
  subscription.setStart({ position });
  // Nothing to read unless messages come before it is started.
  if (isFromNow || isSamePlace(position, finder.head)) return;
  const { page, gaps } = await finder.firstPage(filter, position);
  if (hasEnded(subscription)) return;
  const { mayDeliver } = subscription;
  const told = readableGaps(filter, gaps, { position, mayDeliver });
  const isOtherLog = gaps.some(({ reason }) => reason === 'restored');
  subscription.setStart({ position: told[0]?.next ?? position, isOtherLog, gaps: told, page });
}

function hasEnded(subscription: LogSubscription): boolean {
  return subscription.stage === 'ended';
}
