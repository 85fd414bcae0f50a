import { gapNotice } from '@everywire/protocol';
import {
  problemOf,
  sseBegin,
  sseData,
  sseFailure,
  sseGap,
  sseGoaway,
  sseHeartbeat,
  sseMediaType,
  sseMessage,
} from '@everywire/protocol/http';
import { shapeOf } from '../../core/log/media.ts';
import { concatenateText, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Message } from '../../core/log/message.ts';
import type { StreamWire } from '../../http/stream-wire.ts';

/** Payloads as events. A payload that is no text goes as the message's envelope, which has it in base64. */
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
  if (shapeOf(message) === 'binary') return toEnvelopeEvent(message);
  return sseMessage(message.cursor, message.event, sseData(message.payload.toString()));
}

function toEnvelopeEvent(message: Message): string {
  return sseMessage(message.cursor, message.event, envelopeJson(message));
}

export const sseWire: StreamWire = {
  contentType: `${sseMediaType}; charset=utf-8`,
  format: (isEnveloped) => (isEnveloped ? sseEnvelope : sseRaw),
  begin: ({ cursor, retryMs }) => sseBegin(cursor, retryMs),
  gap: (gap) => sseGap(gapNotice(gap)),
  heartbeat: sseHeartbeat,
  goodbye: sseGoaway,
  failure: (error) => sseFailure(problemOf(error, undefined)),
};
