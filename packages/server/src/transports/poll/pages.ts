import { formatCursor, type Position, type From } from '@everywire/protocol';
import type { Message } from '../../core/log/message.ts';
import type { Page } from '../../core/seams/store.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { PollPage } from './format.ts';

/** Reads one page of one or several filters, as one run in seq order. */
export async function readPage(
  session: Session,
  filters: readonly string[],
  from: From | undefined,
  messagesMax: number,
): Promise<PollPage> {
  const [filter] = filters;
  if (filters.length === 1) return pollPageOf(await session.read(filter!, from, messagesMax));
  const pages = await Promise.all(filters.map((each) => session.read(each, from, messagesMax)));
  return mergePages(pages, messagesMax, from === undefined);
}

function pollPageOf(page: Page): PollPage {
  return { messages: page.messages, cursor: formatCursor(page.through), gaps: page.gaps };
}

/**
 * Merges pages that began at one place. What lies beyond the place that all of them reached is left for the next page:
 * another filter may still have something before it. `isNewest`: a surplus is cut off at the front.
 */
export function mergePages(pages: readonly Page[], messagesMax: number, isNewest: boolean): PollPage {
  let through: Position = pages
    .map((page) => page.through)
    .reduce((left, right) => (right.seq < left.seq ? right : left));
  const bySeq = new Map<number, Message>();
  for (const page of pages) {
    for (const message of page.messages) if (message.seq <= through.seq) bySeq.set(message.seq, message);
  }
  let messages = [...bySeq.values()].sort((left, right) => left.seq - right.seq);
  if (messages.length > messagesMax) {
    messages = isNewest ? messages.slice(-messagesMax) : messages.slice(0, messagesMax);
    if (!isNewest) through = messages[messages.length - 1]!.position;
  }
  return { messages, cursor: formatCursor(through), gaps: pages.flatMap((page) => page.gaps) };
}
