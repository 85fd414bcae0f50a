import { type GapNotice, type Receipt, formatCursor } from '@everywire/protocol';
import { shapeOf } from './media.ts';
import type { Message } from './message.ts';
import type { Gap } from '../seams/store.ts';
import type { Published } from '../seams/transport.ts';

/**
 * The message as JSON text without raw line breaks, for wires that carry envelopes. A JSON payload is spliced in as it
 * came; only line breaks between its tokens, where JSON has them as white space, become spaces, because they would end
 * an NDJSON line. `open` is put behind the first brace, for wires whose frames say what they are.
 */
export function envelopeJson(message: Message, open = ''): string {
  const { event, headers, from } = message;
  return (
    `{${open}"channel":${quote(message.channel)},"offset":${message.offset},"cursor":"${message.cursor}",` +
    `"id":${quote(message.id)},"time":"${formatTime(message.timeMs)}",` +
    (event === undefined ? '' : `"event":${quote(event)},`) +
    `"type":${quote(message.type)},${payloadMember(message)}` +
    (headers === undefined || headers.size === 0
      ? ''
      : `,"headers":${JSON.stringify(Object.fromEntries(headers))}`) +
    (from === undefined ? '}' : `,"from":${quote(from)}}`)
  );
}

export function gapNotice(gap: Gap): GapNotice {
  return {
    channel: gap.channel,
    ...(gap.from === undefined ? {} : { from: gap.from }),
    ...(gap.to === undefined ? {} : { to: gap.to }),
    reason: gap.reason,
    cursor: formatCursor(gap.next),
  };
}

export function receipt(published: Published): Receipt {
  return {
    channel: published.channel,
    offset: published.offset,
    cursor: published.cursor,
    id: published.id,
    time: formatTime(published.timeMs),
    ...(published.duplicate ? { duplicate: true as const } : {}),
  };
}

let formattedMs = Number.NaN;
let formatted = '';

/** RFC 3339. Messages of one millisecond are common under load, and `toISOString` is most of an envelope's cost. */
export function formatTime(timeMs: number): string {
  if (timeMs !== formattedMs) {
    formatted = new Date(timeMs).toISOString();
    formattedMs = timeMs;
  }
  return formatted;
}

function payloadMember(message: Message): string {
  const shape = shapeOf(message);
  if (shape === 'binary') return `"base64":"${message.payload.toString('base64')}"`;
  const text = message.payload.toString();
  // Only what removes a retained message may be of a JSON type and have no payload.
  if (shape === 'json' && text === '') return '"data":null';
  if (shape === 'text') return `"data":${quote(text)}`;
  return `"data":${text.replace(/[\r\n]/g, ' ')}`;
}

// Most names and ids need no escaping, and JSON.stringify costs several times the test.
const plain = /^[ !#-[\]-~]*$/;

function quote(text: string): string {
  return text.length < 64 && plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
