import { readEnvelope, readGapNotice, type Continuity, type Envelope, type GapNotice } from '../envelope.ts';
import { asRecord } from '../exact-json.ts';

/** The answer to a poll, `application/json`. */
export interface Page {
  readonly messages: readonly Envelope[];
  /** The position after everything in this page. */
  readonly cursor: string;
  readonly continuity: Continuity;
  readonly gaps: readonly GapNotice[];
  /** The page is not complete: read the next one after `cursor`. A page of the newest messages lacks older ones because of their size. */
  readonly more: boolean;
}

/** The parts of a page that is still to be written. */
export interface PageParts {
  readonly cursor: string;
  readonly gaps?: readonly GapNotice[];
  readonly more?: boolean;
}

/**
 * Writes a page.
 * @param envelopes the JSON texts of the messages. If a filter has several gaps, `gaps` lists all of them beside `gap`.
 */
export function writePage(
  envelopes: readonly string[],
  { cursor, gaps = [], more = false }: PageParts,
): string {
  const missing =
    gaps.length === 0
      ? ''
      : `,"gap":${JSON.stringify(gaps[0])}` + (gaps.length === 1 ? '' : `,"gaps":${JSON.stringify(gaps)}`);
  const continuity: Continuity = gaps.length === 0 ? 'exact' : 'gap';
  const cut = more ? ',"more":true' : '';
  return `{"messages":[${envelopes.join(',')}],"cursor":"${cursor}","continuity":"${continuity}"${missing}${cut}}`;
}

/** Reads a page from parsed JSON. `undefined` for other JSON. */
export function readPage(value: unknown): Page | undefined {
  const members = asRecord(value);
  if (members === undefined) return undefined;
  const { messages, cursor, continuity, gap, gaps, more } = members;
  const envelopes = readList(messages, readEnvelope);
  const notices = readList(Array.isArray(gaps) ? gaps : gap === undefined ? [] : [gap], readGapNotice);
  if (typeof cursor !== 'string' || envelopes === undefined || notices === undefined) return undefined;
  const isExact = continuity === 'exact' && notices.length === 0;
  return {
    messages: envelopes,
    cursor,
    continuity: isExact ? 'exact' : 'gap',
    gaps: notices,
    more: more === true,
  };
}

/** The list; `undefined` if one entry cannot be read, because a page without it would hide a loss. */
function readList<T>(value: unknown, read: (one: unknown) => T | undefined): readonly T[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const found = (value as readonly unknown[]).map(read);
  return found.includes(undefined) ? undefined : (found as readonly T[]);
}
