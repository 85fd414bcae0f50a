import { gapNotice, parseCursor, parseDurationMs } from '@everywire/protocol';
import { writePage } from '@everywire/protocol/http';
import type { WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Message } from '../../core/log/message.ts';
import type { Gap } from '../../core/seams/store.ts';

export const pollMediaType = 'application/json';

export interface PollPage {
  readonly messages: readonly Message[];
  /** The position after everything in this page. */
  readonly cursor: string;
  readonly gaps: readonly Gap[];
  readonly more: boolean;
}

/** A page as the body of an answer. */
export function pageJson({ messages, cursor, gaps, more }: PollPage): string {
  return writePage(
    messages.map((message) => envelopeJson(message)),
    { cursor, gaps: gaps.map(gapNotice), more },
  );
}

/** A whole answer from one batch: all long polls that wait for it get the same bytes. */
export const pollFormat: WireFormat = {
  id: 'poll:page',
  encode: (messages) => ({
    bytes: Buffer.from(
      pageJson({ messages, cursor: messages[messages.length - 1]!.cursor, gaps: [], more: false }),
    ),
    slots: [],
  }),
};

/** The strong entity tag of a page (RFC 9110 §8.8.3). */
export function etagOf(cursor: string): string {
  return `"${cursor}"`;
}

/**
 * The cursors in an `If-None-Match` (RFC 9110 §13.1.2). The comparison is weak, so `W/` is ignored. Proxies may change
 * a tag (`-gzip`): an unknown tag counts as absent, like `*`.
 */
export function cursorsOf(ifNoneMatch: string | undefined): readonly string[] {
  if (ifNoneMatch === undefined) return [];
  return [...ifNoneMatch.matchAll(/(?:^|,)\s*(?:W\/)?"([\x21\x23-\x7e]*)"\s*(?=,|$)/g)]
    .map((match) => match[1]!)
    .filter((tag) => parseCursor(tag) !== undefined);
}

/** Whether an `If-None-Match` is met by anything that exists (RFC 9110 §13.1.2). */
export function namesAnything(ifNoneMatch: string | undefined): boolean {
  return ifNoneMatch?.trim() === '*';
}

/** `wait` of a `Prefer` header (RFC 7240 §4.3), in milliseconds. Ignores unknown preferences. */
export function preferredWaitMs(prefer: string | undefined): number | undefined {
  for (const preference of prefer?.split(',') ?? []) {
    const match = /^\s*wait\s*=\s*"?(\d{1,9}(?:ms|s|m)?)"?\s*(?:;.*)?$/i.exec(preference);
    if (match !== null) return parseDurationMs(match[1]!.toLowerCase());
  }
  return undefined;
}
