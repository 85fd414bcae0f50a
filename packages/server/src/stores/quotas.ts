import { EverywireError } from '@everywire/protocol';
import type { Limits } from '../core/limits.ts';
import type { Draft } from '../core/log/message.ts';
import type { Entry } from '../core/seams/store.ts';

/** The limits of a whole store. */
export type StoreQuotas = Pick<Limits, 'channelsMax' | 'retainedMax'>;

/** The current amounts. */
export interface Holdings {
  readonly channels: number;
  readonly retained: number;
  hasChannel(name: string): boolean;
  hasRetained(name: string): boolean;
}

/** Why the store has no room for `entries` together, none of which is a repetition. */
export function refusalFor(
  entries: readonly Entry[],
  holdings: Holdings,
  { channelsMax, retainedMax }: StoreQuotas,
): EverywireError | undefined {
  const made = new Set<string>();
  const retained = new Set<string>();
  for (const { channel, draft } of entries) {
    if (!holdings.hasChannel(channel)) made.add(channel);
    if (draft.retain === true && draft.payload.length > 0) retained.add(channel);
  }
  if (made.size > 0 && holdings.channels + made.size > channelsMax) return full(channelsMax, 'channels');
  if (retained.size === 0 || holdings.retained + retained.size <= retainedMax) return undefined;
  for (const channel of retained) if (holdings.hasRetained(channel)) retained.delete(channel);
  const isRoom = retained.size === 0 || holdings.retained + retained.size <= retainedMax;
  return isRoom ? undefined : full(retainedMax, 'retained messages');
}

/** The draft that the store has room for, perhaps without its `retain`, or the refusal. */
export function fitting(entry: Entry, holdings: Holdings, quotas: StoreQuotas): Draft | EverywireError {
  const { draft } = entry;
  const refusal = refusalFor([entry], holdings, quotas);
  if (refusal === undefined) return draft;
  if (draft.retain !== true || draft.retainIfRoom !== true) return refusal;
  const plain: Draft = { ...draft, retain: false };
  return refusalFor([{ ...entry, draft: plain }], holdings, quotas) ?? plain;
}

function full(max: number, what: string): EverywireError {
  return new EverywireError(
    'quota_exceeded',
    `The store has ${max} ${what}, the limit. Delete some to make room.`,
  );
}
