import type { Position } from '@everywire/protocol';
import type { Message } from '../log/message.ts';
import type { Page } from '../seams/store.ts';

/**
 * Merges pages that begin at one place. What lies beyond the place that all of them reached is left for the next page:
 * another filter may still have something before it. `isNewest`: a surplus is cut off at the front.
 */
export function mergePages(pages: readonly Page[], messagesMax: number, isNewest: boolean): Page {
  let through: Position = pages
    .map((page) => page.through)
    .reduce((left, right) => (right.seq < left.seq ? right : left));
  const bySeq = new Map<number, Message>();
  for (const page of pages) {
    for (const message of page.messages) if (message.seq <= through.seq) bySeq.set(message.seq, message);
  }
  let messages = [...bySeq.values()].sort((left, right) => left.seq - right.seq);
  let atHead = pages.every((page) => page.atHead);
  if (messages.length > messagesMax) {
    messages = isNewest ? messages.slice(-messagesMax) : messages.slice(0, messagesMax);
    if (!isNewest) {
      through = messages[messages.length - 1]!.position;
      atHead = false;
    }
  }
  return { messages, through, atHead, gaps: pages.flatMap((page) => page.gaps) };
}
