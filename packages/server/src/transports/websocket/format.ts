import { errorTable, type EverywireError, shapeOfType, gapNotice } from '@everywire/protocol';
import { frame, opcodes, textFrames } from '@everywire/wires/websocket';
import { shapeOf } from '../../core/log/media.ts';
import { concatenate, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Published } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';

/** The subprotocol of `/ws`. */
export const everywireProtocol = 'everywire.v1';

/** A raw connection cannot be told of a gap between payloads, so it ends, and comes back with the cursor in the reason. */
export const gapCloseCode = 4002;

/** Raw: one frame is one payload, text where the type says text or JSON and the bytes are UTF-8. */
export const rawFormat: WireFormat = {
  id: 'websocket:raw',
  encode: (messages) =>
    concatenate(
      messages.map((message) =>
        frame(shapeOf(message) === 'binary' ? opcodes.binary : opcodes.text, message.payload),
      ),
    ),
};

/** Raw connections with `format=envelope`: one text frame is one envelope. */
export const envelopeFormat: WireFormat = {
  id: 'websocket:envelope',
  encode: (messages) => ({ slots: [], ...textFrames(messages.map((message) => envelopeJson(message))) }),
};

/** `everywire.v1`: the envelope, which says what it is, since answers and notices come between. */
export const messageFormat: WireFormat = {
  id: 'websocket:everywire.v1',
  encode: (messages) => ({
    slots: [],
    ...textFrames(messages.map((message) => envelopeJson(message, '"op":"message",'))),
  }),
};

/** What frames of a raw connection are published as: `wanted` where it fits the kind of frame. */
export function typeOfFrame(kind: 'text' | 'binary', wanted: string | undefined): string {
  if (wanted !== undefined && (shapeOfType(wanted) === 'binary') === (kind === 'binary')) return wanted;
  return kind === 'text' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

/** `id` is the JSON text of the command's id, as in all answers. */
export function okAnswer(id: string): string {
  return `{"id":${id},"ok":true}`;
}

export function publishedAnswer(id: string, published: Published): string {
  return (
    `{"id":${id},"ok":true,"offset":${published.offset},"cursor":"${published.cursor}",` +
    `"message":${JSON.stringify(published.id)}${published.duplicate ? ',"duplicate":true' : ''}}`
  );
}

/** Of several gaps, which only a filter can have, the answer names the first; the others follow as notices. */
export function subscribedAnswer(id: string, subscription: Subscription): string {
  const [gap] = subscription.startGaps;
  return (
    `{"id":${id},"ok":true,"cursor":"${subscription.startCursor}",` +
    (gap === undefined
      ? '"continuity":"exact"}'
      : `"continuity":"gap","gap":${JSON.stringify(gapNotice(gap))}}`)
  );
}

/** Without `id` when the command's could not be read. */
export function refusedAnswer(id: string | undefined, error: EverywireError): string {
  const { code, message, retryAfterMs } = error;
  const told = JSON.stringify({ code, message, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  return `{${id === undefined ? '' : `"id":${id},`}"ok":false,"error":${told}}`;
}

export function gapText(gap: Gap): string {
  return JSON.stringify({ op: 'gap', ...gapNotice(gap) });
}

/** A subscription that ended by itself. */
export function endedText(filter: string, error: EverywireError | undefined): string {
  return JSON.stringify({
    op: 'ended',
    channel: filter,
    ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
  });
}

export function goawayText(retryAfterMs: number): string {
  return JSON.stringify({ op: 'goaway', retryAfterMs });
}

/** The reason of a 4002: what is missing, and the cursor to come back with. Within the 123 bytes of a Close frame. */
export function gapReason(gap: Gap): string {
  const { from, to, reason, cursor } = gapNotice(gap);
  const range = from === undefined || to === undefined ? '' : ` ${from}-${to}`;
  return `gap ${reason}${range} after=${cursor}`;
}

/** Close code and reason of what ends a connection: the code for programs, the sentence for people. */
export function closeOf(error: EverywireError): { readonly code: number; readonly reason: string } {
  return { code: errorTable[error.code].close, reason: `${error.code}: ${error.message}` };
}
