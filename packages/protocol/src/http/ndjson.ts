import { readEnvelope, readGapNotice, type GapNotice } from '../envelope.ts';
import { asRecord } from '../exact-json.ts';
import { LineReader } from './lines.ts';
import { readProblem, type Problem } from './problem.ts';
import { notJson, parseItem, type ParseJson, type StreamItem } from './stream-item.ts';

/**
 * Newline-delimited JSON with one envelope per line. Lines that are not messages are objects with one member that names
 * their kind; a blank line is a heartbeat.
 */

export const ndjsonMediaTypes = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'] as const;

/** An envelope has no line break in it, with any payload. */
export const ndjsonMessage = (envelope: string): string => `${envelope}\n`;
export const ndjsonHeartbeat = '\n';
export const ndjsonGap = (notice: GapNotice): string => `${JSON.stringify({ gap: notice })}\n`;
export const ndjsonGoaway = (retryAfterMs: number): string =>
  `${JSON.stringify({ goaway: { retryAfterMs } })}\n`;
export const ndjsonFailure = (problem: Problem): string => `${JSON.stringify({ error: problem })}\n`;

/** Reads the lines that the functions above write, in chunks cut anywhere. */
export class NdjsonReader {
  readonly #lines = new LineReader('lf');
  readonly #parse: ParseJson;

  constructor(parse: ParseJson = JSON.parse) {
    this.#parse = parse;
  }

  push(chunk: string | Uint8Array): StreamItem[] {
    const items: StreamItem[] = [];
    for (const line of this.#lines.push(chunk)) {
      const item = itemOf(line, this.#parse);
      if (item !== undefined) items.push(item);
    }
    return items;
  }
}

/** The item of a line; `undefined` for an unknown item of a newer server. */
function itemOf(line: string, parse: ParseJson): StreamItem | undefined {
  if (line.trim() === '') return { kind: 'heartbeat' };
  const value = parseItem(line, parse);
  const members = value === notJson ? undefined : asRecord(value);
  if (members === undefined) return { kind: 'fault', detail: 'A line is not a JSON object.' };
  const envelope = readEnvelope(members);
  if (envelope !== undefined) return { kind: 'message', cursor: envelope.cursor, envelope };
  const notice = readGapNotice(members['gap']);
  if (notice !== undefined) return { kind: 'gap', notice };
  const refusal = readProblem(members['error']);
  if (refusal !== undefined) return { kind: 'failure', refusal };
  const retryAfterMs = asRecord(members['goaway'])?.['retryAfterMs'];
  return typeof retryAfterMs === 'number' ? { kind: 'goaway', retryAfterMs } : undefined;
}
