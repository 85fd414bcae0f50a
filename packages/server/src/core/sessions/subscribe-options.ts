import { EverywireError, parseCursor, type From, type Position } from '@everywire/protocol';
import type { StartAt } from '../fanout/find-start.ts';
import type { MayDeliver } from '../fanout/readable-gap.ts';
import type { Restrictions } from '../fanout/subscription.ts';
import type { MemberOptions } from '../groups/member.ts';
import type { Limits } from '../limits.ts';
import type { SubscribeOptions } from '../seams/subscription-api.ts';

/** @throws EverywireError `bad_cursor` */
export function checkCursor(text: string): Position {
  const position = parseCursor(text);
  if (position === undefined) throw new EverywireError('bad_cursor', '`after` is not a valid cursor.');
  return position;
}

/** Where a subscription of these options begins. @throws EverywireError `bad_cursor` */
export function startOf({ from, progress }: SubscribeOptions): StartAt {
  return progress === undefined ? placeOf(from) : { cursor: checkCursor(progress.cursor) };
}

/** @throws EverywireError `bad_cursor` */
export function placeOf(from: From | undefined): StartAt {
  if (from === undefined) return {};
  return 'after' in from ? { cursor: checkCursor(from.after) } : { since: from.since };
}

/** `undefined` where the shared batches can be handed over as they are. */
export function restrictionsOf(
  options: SubscribeOptions,
  mayDeliver: MayDeliver,
  limits: Limits,
): Restrictions | undefined {
  const echo = options.echo ?? true;
  const isPlain =
    mayDeliver === undefined &&
    echo &&
    options.acknowledge !== 'peer' &&
    options.credit === undefined &&
    options.batches === undefined &&
    options.batchMessagesMax === undefined;
  if (isPlain) return undefined;
  return {
    mayDeliver,
    echo,
    credit: options.credit,
    batchMessagesMax: options.batchMessagesMax ?? Number.POSITIVE_INFINITY,
    batches: options.batches ?? Number.POSITIVE_INFINITY,
    window:
      options.acknowledge === 'peer'
        ? { messagesMax: windowMessagesOf(options, limits), progress: options.progress }
        : undefined,
  };
}

/** @throws EverywireError `invalid` for what a member of a group cannot have */
export function checkGroupOptions({ order, echo }: SubscribeOptions): void {
  if (order !== undefined)
    throw new EverywireError('invalid', 'A group has a separate order: follow it without other filters.');
  if (echo === false) throw new EverywireError('invalid', 'A group does not support `echo: false`.');
}

export function memberOptionsOf(
  options: SubscribeOptions,
  given: Pick<MemberOptions, 'mayDeliver' | 'batchBytesMax'> & { readonly limits: Limits },
): Omit<MemberOptions, 'filter'> {
  const { limits, mayDeliver, batchBytesMax } = given;
  const acknowledges = options.acknowledge === 'peer';
  return {
    tag: options.tag,
    mayDeliver,
    acknowledges,
    windowMessages: acknowledges ? windowMessagesOf(options, limits) : Number.POSITIVE_INFINITY,
    windowBytes: limits.groupMemberBytesMax,
    batchBytesMax,
    credit: options.credit,
    batches: options.batches ?? Number.POSITIVE_INFINITY,
    batchMessagesMax: options.batchMessagesMax ?? Number.POSITIVE_INFINITY,
  };
}

function windowMessagesOf({ windowMessages }: SubscribeOptions, limits: Limits): number {
  const { windowMessagesDefault, windowMessagesMax } = limits;
  return Math.min(windowMessages ?? windowMessagesDefault, windowMessagesMax);
}
