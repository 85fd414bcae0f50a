import { gapNotice } from '@everywire/protocol';
import {
  problemOf,
  sseData,
  sseFailure,
  sseGap,
  sseGoaway,
  sseHeartbeat,
  sseId,
  sseMediaType,
  sseMessage,
  ssePosition,
  sseRetry,
} from '@everywire/protocol/http';
import { shapeOf } from '../../core/log/media.ts';
import { concatenateText, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Message } from '../../core/log/message.ts';
import type { StreamWire } from '../../http/stream-wire.ts';

/** Payloads as events. A payload that is not text is sent as its envelope, with base64. */
export const sseRaw: WireFormat = {
  id: 'sse:raw',
  encode: (messages) => concatenateText(messages.map(toRawEvent)),
};

/** Envelopes as events, for readers of more than one channel. */
export const sseEnvelope: WireFormat = {
  id: 'sse:envelope',
  encode: (messages) => concatenateText(messages.map(toEnvelopeEvent)),
};

function toRawEvent(message: Message): string {
  const shape = shapeOf(message);
  if (shape === 'binary') return toEnvelopeEvent(message);
  const text = message.payload.toString();
  // An empty payload of any type removes a retained message, but is not valid JSON.
  return sseMessage(message.cursor, message.event, shape === 'json' && text === '' ? 'null' : sseData(text));
}

function toEnvelopeEvent(message: Message): string {
  return sseMessage(message.cursor, message.event, envelopeJson(message));
}

export const sseWire: StreamWire = {
  contentType: `${sseMediaType}; charset=utf-8`,
  format: (isEnveloped) => (isEnveloped ? sseEnvelope : sseRaw),
  begin: ({ cursor, retryMs, isPassing }) =>
    sseRetry(retryMs) + (isPassing ? ssePosition(cursor) : sseId(cursor)),
  gap: (gap) => sseGap(gapNotice(gap)),
  heartbeat: () => sseHeartbeat,
  position: ssePosition,
  goodbye: sseGoaway,
  failure: (error) => sseFailure(problemOf(error, undefined)),
};
