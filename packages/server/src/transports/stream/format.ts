import { type EverywireError, gapNotice } from '@everywire/protocol';
import { concatenateText, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Gap } from '../../core/seams/store.ts';
import { problemOf } from '../../http/problem.ts';
import type { StreamWire } from '../../http/stream-wire.ts';

export const ndjsonMediaTypes = ['application/x-ndjson', 'application/ndjson', 'application/jsonl'] as const;

/** One envelope a line. `envelopeJson` has no line break in it, whatever the payload. */
export const ndjson: WireFormat = {
  id: 'ndjson',
  encode: (messages) => concatenateText(messages.map((message) => `${envelopeJson(message)}\n`)),
};

/** Lines that are not messages are objects with one member that says what they are; a blank line is a heartbeat. */
export const ndjsonWire: StreamWire = {
  contentType: ndjsonMediaTypes[0],
  format: () => ndjson,
  // A first line at once, so that proxies and clients see the response begin.
  begin: () => '\n',
  gap: (gap: Gap) => `${JSON.stringify({ gap: gapNotice(gap) })}\n`,
  heartbeat: () => '\n',
  goodbye: (retryAfterMs) => `${JSON.stringify({ goaway: { retryAfterMs } })}\n`,
  failure: (error: EverywireError) => `${JSON.stringify({ error: problemOf(error, undefined) })}\n`,
};
