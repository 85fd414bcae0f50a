import type { Position } from '@everywire/protocol';
import { estimateBytes, type Message } from '../log/message.ts';
import type { Page, PageLimit } from '../seams/store.ts';

/**
 * Merges pages of several filters. A message beyond the place that all of them reached is left for the next page: another
 * filter may still have something before it.
 */
export function mergePages(pages: readonly Page[], limit: PageLimit): Page {
  const through: Position = pages
    .map((page) => page.through)
    .reduce((left, right) => (right.seq < left.seq ? right : left));
  const bySeq = new Map<number, Message>();
  for (const page of pages) {
    for (const message of page.messages) if (message.seq <= through.seq) bySeq.set(message.seq, message);
  }
  const all = [...bySeq.values()].sort((left, right) => left.seq - right.seq);
  const messages = oldest(all, limit);
  const isCut = messages.length < all.length;
  return {
    messages,
    through: isCut ? messages[messages.length - 1]!.position : through,
    atHead: !isCut && pages.every((page) => page.atHead),
    gaps: pages.flatMap((page) => page.gaps),
  };
}

/** As many of the first as the limit allows, and at least one. */
export function oldest(messages: readonly Message[], limit: PageLimit): readonly Message[] {
  return messages.slice(0, countWithin(messages, limit));
}

/** As many of the last as the limit allows, and at least one. */
export function newest(messages: readonly Message[], limit: PageLimit): readonly Message[] {
  return messages.slice(messages.length - countWithin(messages.toReversed(), limit));
}

function countWithin(messages: readonly Message[], { messagesMax, bytesMax }: PageLimit): number {
  let count = 0;
  let bytes = 0;
  for (const message of messages) {
    bytes += estimateBytes(message);
    if (count > 0 && (count >= messagesMax || bytes > bytesMax)) break;
    count += 1;
  }
  return count;
}
