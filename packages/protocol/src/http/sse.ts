import { readEnvelope, readGapNotice, type GapNotice } from '../envelope.ts';
import { asRecord } from '../exact-json.ts';
import { LineReader } from './lines.ts';
import { readProblem, type Problem } from './problem.ts';
import { notJson, parseItem, type ParseJson, type StreamItem } from './stream-item.ts';

/**
 * Server-Sent Events (HTML §9.2). `id` is the cursor, so a browser that reconnects resumes by itself.
 *
 * A blank line only ever ends an event that has data. Browsers dispatch no event without data, but widely used libraries
 * do (fetch-event-source at every blank line, httpx-sse once it has seen an id), and applications then parse the empty
 * text as JSON. So news of the server are comments and fields without a blank line, or named events with JSON.
 */

export const sseMediaType = 'text/event-stream';

const gapEvent = 'everywire.gap';
/** Moves the id of a reader that gets no message. */
const positionEvent = 'everywire.position';
/** Not `error`: EventSource itself uses that name for lost connections. */
const failureEvent = 'everywire.error';
/** Names that belong to the server; a label of an older store might begin so. */
const ownEventPrefix = 'everywire.';
/**
 * EventSource dispatches these itself, to the same listeners: a label `error` would look like a lost connection. Such a
 * message is an unnamed one, and only its envelope has the label.
 */
const eventSourceEvents: ReadonlySet<string> = new Set(['open', 'error', 'message']);
/** A comment, which EventSource ignores; the `retry` behind it gives the time before a reconnect. */
const goawayComment = 'goaway';

// The end of a line in an event stream (HTML §9.2.6): CR, LF or CRLF.
const lineEnd = /\r\n|\r|\n/g;

/**
 * A payload as the value of `data`, with `data:` before each line: browsers silently drop a line without it, and with
 * it a line may begin with any text.
 */
export function sseData(text: string): string {
  return text.replace(lineEnd, '\ndata: ');
}

/** A message. `data` is its envelope, which has no line breaks, or its payload by `sseData`. */
export function sseMessage(cursor: string, event: string | undefined, data: string): string {
  return `id: ${cursor}\n${eventField(event)}data: ${data}\n\n`;
}

function eventField(event: string | undefined): string {
  if (event === undefined || eventSourceEvents.has(event) || event.startsWith(ownEventPrefix)) return '';
  // The core refuses control characters, but an older store may have some, and a line break would forge a field.
  return `event: ${event.replace(/[\r\n]/g, ' ')}\n`;
}

/** A reader applies it at once (HTML §9.2.6). */
export const sseRetry = (retryMs: number): string => `retry: ${retryMs}\n`;

/** Belongs to the next event. Libraries that take each field at once resume here, also before that comes. */
export const sseId = (cursor: string): string => `id: ${cursor}\n`;

/** A reader that is cut off before the next message resumes here. */
export const ssePosition = (cursor: string): string =>
  `id: ${cursor}\nevent: ${positionEvent}\ndata: {"cursor":"${cursor}"}\n\n`;

export const sseHeartbeat = ':\n';

export const sseGap = (notice: GapNotice): string =>
  `id: ${notice.cursor}\nevent: ${gapEvent}\ndata: ${JSON.stringify(notice)}\n\n`;

export const sseGoaway = (retryAfterMs: number): string => `: ${goawayComment}\n${sseRetry(retryAfterMs)}`;

export const sseFailure = (problem: Problem): string =>
  `event: ${failureEvent}\ndata: ${JSON.stringify(problem)}\n\n`;

/** The lines up to an empty line, or a comment, or the `retry` that follows one. Applications get an event only if it has data. */
export interface SseEvent {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: string | undefined;
  readonly retryMs: number | undefined;
  /** The last comment. */
  readonly comment: string | undefined;
}

/** The parser of HTML §9.2.6, for chunks cut anywhere. The caller reconnects. */
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
      // A comment by itself is news: the server writes it between events, without a blank line.
      if (!this.#isEmpty && (line === '' || this.#isNews(line))) events.push(this.#take());
    }
    return events;
  }

  #isNews(line: string): boolean {
    if (this.#data !== undefined || this.#name !== '') return false;
    return line.startsWith(':') ? this.#comment !== goawayComment : this.#comment !== undefined;
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

/** The item of an event in a stream of envelopes. `undefined` for an unknown item of a newer server. */
export function sseItem(event: SseEvent, parse: ParseJson = JSON.parse): StreamItem | undefined {
  const { name, id, data, retryMs, comment } = event;
  if (data === undefined) {
    if (comment === goawayComment && retryMs !== undefined) return { kind: 'goaway', retryAfterMs: retryMs };
    if (id === undefined) return { kind: 'heartbeat' };
    return { kind: 'position', cursor: id, ...(retryMs === undefined ? {} : { retryMs }) };
  }
  const value = parseItem(data, parse);
  if (value === notJson) return { kind: 'fault', detail: 'The data of an event is not JSON.' };
  // A message may have any event name, also one of the server's, so its members decide.
  const envelope = readEnvelope(value);
  if (envelope !== undefined) return { kind: 'message', cursor: envelope.cursor, envelope };
  if (name === positionEvent) {
    const cursor = asRecord(value)?.['cursor'];
    if (typeof cursor !== 'string') return undefined;
    return { kind: 'position', cursor, ...(retryMs === undefined ? {} : { retryMs }) };
  }
  const notice = name === gapEvent ? readGapNotice(value) : undefined;
  if (notice !== undefined) return { kind: 'gap', notice };
  const refusal = name === failureEvent ? readProblem(value) : undefined;
  return refusal === undefined ? undefined : { kind: 'failure', refusal };
}
