import { gapNotice } from '@everywire/protocol';
import {
  ndjsonFailure,
  ndjsonGap,
  ndjsonGoaway,
  ndjsonHeartbeat,
  ndjsonMediaTypes,
  ndjsonMessage,
  problemOf,
} from '@everywire/protocol/http';
import { concatenateText, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { StreamWire } from '../../http/stream-wire.ts';

/** One envelope a line. */
export const ndjson: WireFormat = {
  id: 'ndjson',
  encode: (messages) => concatenateText(messages.map((message) => ndjsonMessage(envelopeJson(message)))),
};

export const ndjsonWire: StreamWire = {
  contentType: ndjsonMediaTypes[0],
  format: () => ndjson,
  // A first line at once, so that proxies and clients see the start of the response.
  begin: () => ndjsonHeartbeat,
  gap: (gap) => ndjsonGap(gapNotice(gap)),
  heartbeat: () => ndjsonHeartbeat,
  // Every line that moves a reader is a message.
  position: () => ndjsonHeartbeat,
  goodbye: ndjsonGoaway,
  failure: (error) => ndjsonFailure(problemOf(error, undefined)),
};
