import { readEnvelope, readGapNotice, type GapNotice } from '../envelope.ts';
import { LineReader } from './lines.ts';
import { readProblem, type Problem } from './problem.ts';
import { notJson, parseItem, type ParseJson, type StreamItem } from './stream-item.ts';

/**
 * Server-Sent Events (HTML §9.2). `id` is the cursor, so a browser that reconnects resumes by itself. An event without
 * data is not dispatched, but its id is kept.
 */

export const sseMediaType = 'text/event-stream';

const gapEvent = 'everywire.gap';
/** EventSource itself has events named `error`, for lost connections. */
const failureEvent = 'everywire.error';
/** A comment, which an EventSource passes over; the `retry` behind it says when to come back. */
const goawayComment = 'goaway';

// The interpretation of an event stream (HTML §9.2.6) ends a line at CR, LF or CRLF.
const lineEnd = /\r\n|\r|\n/g;

/** A payload as the value of `data`. Browsers silently drop a line that lacks its `data:`; with it, a line may begin with anything. */
export function sseData(text: string): string {
  return text.replace(lineEnd, '\ndata: ');
}

/** A message. `data` is its envelope, which has no line breaks, or its payload by `sseData`. */
export function sseMessage(cursor: string, event: string | undefined, data: string): string {
  // The core refuses control characters; an older store might hold some, and a line break would forge a field.
  const name = event === undefined ? '' : `event: ${event.replace(/[\r\n]/g, ' ')}\n`;
  return `id: ${cursor}\n${name}data: ${data}\n\n`;
}

/** A reader that is cut off before the first message resumes here. */
export const sseBegin = (cursor: string, retryMs: number): string => `retry: ${retryMs}\nid: ${cursor}\n\n`;

/** `cursor`: a reader that is up to date may move there; absent while it is not. */
export const sseHeartbeat = (cursor: string | undefined): string =>
  cursor === undefined ? ':\n\n' : `:\nid: ${cursor}\n\n`;

export const sseGap = (notice: GapNotice): string =>
  `id: ${notice.cursor}\nevent: ${gapEvent}\ndata: ${JSON.stringify(notice)}\n\n`;

export const sseGoaway = (retryAfterMs: number): string => `: ${goawayComment}\nretry: ${retryAfterMs}\n\n`;

export const sseFailure = (problem: Problem): string =>
  `event: ${failureEvent}\ndata: ${JSON.stringify(problem)}\n\n`;

/** The lines up to an empty line. Applications get an event only if it has data. */
export interface SseEvent {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: string | undefined;
  readonly retryMs: number | undefined;
  /** The last comment. */
  readonly comment: string | undefined;
}

/** The interpretation of HTML §9.2.6, in chunks cut anywhere, without reconnecting, which is the caller's. */
export class SseReader {
  readonly #lines = new LineReader('any');
  #name = '';
  #id: string | undefined;
  #data: string[] | undefined;
  #retryMs: number | undefined;
  #comment: string | undefined;
  #isEmpty = true;

  push(chunk: string | Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    for (const line of this.#lines.push(chunk)) {
      if (line !== '') this.#read(line);
      else if (!this.#isEmpty) events.push(this.#take());
    }
    return events;
  }

  #read(line: string): void {
    this.#isEmpty = false;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const begin = line[colon + 1] === ' ' ? colon + 2 : colon + 1;
    const value = colon < 0 ? '' : line.slice(begin);
    if (field === 'data') (this.#data ??= []).push(value);
    else if (field === 'event') this.#name = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d{1,15}$/.test(value)) this.#retryMs = Number(value);
    else if (colon === 0) this.#comment = value;
  }

  #take(): SseEvent {
    const event = {
      name: this.#name === '' ? 'message' : this.#name,
      id: this.#id,
      data: this.#data?.join('\n'),
      retryMs: this.#retryMs,
      comment: this.#comment,
    };
    this.#name = '';
    this.#id = this.#data = this.#retryMs = this.#comment = undefined;
    this.#isEmpty = true;
    return event;
  }
}

/** What an event of a stream of envelopes says. `undefined` for what only a newer server says. */
export function sseItem(event: SseEvent, parse: ParseJson = JSON.parse): StreamItem | undefined {
  const { name, id, data, retryMs, comment } = event;
  if (data === undefined) {
    if (comment === goawayComment && retryMs !== undefined) return { kind: 'goaway', retryAfterMs: retryMs };
    if (id === undefined) return { kind: 'heartbeat' };
    return { kind: 'position', cursor: id, ...(retryMs === undefined ? {} : { retryMs }) };
  }
  const value = parseItem(data, parse);
  if (value === notJson) return { kind: 'fault', detail: 'The data of an event is not JSON.' };
  // A message may be labelled with any name, also with those of the server, so its members decide.
  const envelope = readEnvelope(value);
  if (envelope !== undefined) return { kind: 'message', cursor: envelope.cursor, envelope };
  const notice = name === gapEvent ? readGapNotice(value) : undefined;
  if (notice !== undefined) return { kind: 'gap', notice };
  const refusal = name === failureEvent ? readProblem(value) : undefined;
  return refusal === undefined ? undefined : { kind: 'failure', refusal };
}
