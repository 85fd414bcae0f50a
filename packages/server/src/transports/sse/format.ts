import { type EverywireError, gapNotice } from '@everywire/protocol';
import { shapeOf } from '../../core/log/media.ts';
import { concatenateText, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Message } from '../../core/log/message.ts';
import type { Gap } from '../../core/seams/store.ts';
import { problemOf } from '../../http/problem.ts';
import type { StreamWire } from '../../http/stream-wire.ts';

export const sseMediaType = 'text/event-stream';

/**
 * Payloads as events (HTML §9.2.5). `id` is the cursor, so a browser that reconnects resumes by itself. A payload that
 * is no text goes as the message's envelope, which has it in base64.
 */
export const sseRaw: WireFormat = {
  id: 'sse:raw',
  encode: (messages) => concatenateText(messages.map(toRawEvent)),
};

/** Envelopes as events, for readers of more than one channel. */
export const sseEnvelope: WireFormat = {
  id: 'sse:envelope',
  encode: (messages) => concatenateText(messages.map(toEnvelopeEvent)),
};

// The interpretation of an event stream (HTML §9.2.6) ends a line at CR, LF or CRLF.
const lineEnd = /\r\n|\r|\n/g;

function toRawEvent(message: Message): string {
  if (shapeOf(message) === 'binary') return toEnvelopeEvent(message);
  // Browsers silently drop a line that lacks its `data:`; with it, a line may begin with anything.
  const data = message.payload.toString().replace(lineEnd, '\ndata: ');
  return `id: ${message.cursor}\n${eventLine(message)}data: ${data}\n\n`;
}

function toEnvelopeEvent(message: Message): string {
  return `id: ${message.cursor}\n${eventLine(message)}data: ${envelopeJson(message)}\n\n`;
}

function eventLine({ event }: Message): string {
  // The core refuses control characters; an older store might hold some, and a line break would forge a field.
  return event === undefined ? '' : `event: ${event.replace(/[\r\n]/g, ' ')}\n`;
}

export const sseWire: StreamWire = {
  contentType: `${sseMediaType}; charset=utf-8`,
  format: (isEnveloped) => (isEnveloped ? sseEnvelope : sseRaw),

  /** An event without data is not dispatched, but its id is kept: whoever is cut off before the first message resumes here. */
  begin: ({ cursor, retryMs }) => `retry: ${retryMs}\nid: ${cursor}\n\n`,

  gap(gap: Gap): string {
    const notice = gapNotice(gap);
    return `id: ${notice.cursor}\nevent: everywire.gap\ndata: ${JSON.stringify(notice)}\n\n`;
  },

  heartbeat: (cursor) => (cursor === undefined ? ':\n\n' : `:\nid: ${cursor}\n\n`),

  goodbye: (retryAfterMs) => `: goaway\nretry: ${retryAfterMs}\n\n`,

  failure(error: EverywireError): string {
    // An EventSource has events named `error` of its own, for lost connections.
    return `event: everywire.error\ndata: ${JSON.stringify(problemOf(error, undefined))}\n\n`;
  },
};
