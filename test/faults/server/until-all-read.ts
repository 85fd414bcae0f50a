import { setTimeout as sleep } from 'node:timers/promises';
import { parseCursor } from '@everywire/protocol';
import { isWildcard } from '../checker/filters.ts';
import type { HoppingReader } from './hopping-reader.ts';

/** Longer than any healthy reader needs; the judge has its own, shorter, opinion of what is late. */
const patienceMs = 180_000;
const lookEveryMs = 20;

/** Resolves when every reader has all messages that are stored now, or after a limit: the checker then reports what each reader lacks. */
export async function untilAllRead(
  http: string,
  filter: string,
  readers: readonly HoppingReader[],
): Promise<void> {
  const heads = new Map<string, number>();
  for (const reader of readers) {
    const read = isWildcard(reader.filter) ? filter : reader.filter;
    if (!heads.has(read)) heads.set(read, await headOf(http, read));
  }
  const untilMs = performance.now() + patienceMs;
  const isBehind = ({ filter: own, seq }: HoppingReader): boolean =>
    seq < heads.get(isWildcard(own) ? filter : own)!;
  while (readers.some(isBehind) && performance.now() < untilMs) await sleep(lookEveryMs);
}

/** The seq of the newest message. */
async function headOf(http: string, filter: string): Promise<number> {
  const response = await fetch(`${http}/channels/${filter}?limit=1`);
  const page = (await response.json()) as { readonly messages: readonly { readonly cursor: string }[] };
  const newest = page.messages.at(-1);
  return newest === undefined ? 0 : parseCursor(newest.cursor)!.seq;
}
