import { gapNotice, shapeOfType } from '@everywire/protocol';
import { gapFrame, messageMark, subscribedAnswer } from '@everywire/protocol/everywire-v1';
import { frame, opcodes, textFrames } from '@everywire/wires/websocket';
import { shapeOf } from '../../core/log/media.ts';
import { concatenate, type WireFormat } from '../../core/log/batch.ts';
import { envelopeJson } from '../../core/log/envelope.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';

/** Raw: one frame is one payload; a text frame if the type is text or JSON and the bytes are UTF-8. */
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

/** `everywire.v1`: the envelope with its kind, since answers and notices use the same connection. */
export const messageFormat: WireFormat = {
  id: 'websocket:everywire.v1',
  encode: (messages) => ({
    slots: [],
    ...textFrames(messages.map((message) => envelopeJson(message, messageMark))),
  }),
};

/** The type for frames of a raw connection: `wanted`, if it fits the kind of frame. */
export function typeOfFrame(kind: 'text' | 'binary', wanted: string | undefined): string {
  if (wanted !== undefined && (shapeOfType(wanted) === 'binary') === (kind === 'binary')) return wanted;
  return kind === 'text' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

/** The answer names the first gap of several; the others follow as notices. */
export function subscribedText(id: string, { startCursor, startGaps: [gap] }: Subscription): string {
  return subscribedAnswer(id, startCursor, gap && gapNotice(gap));
}

export function gapText(gap: Gap): string {
  return gapFrame(gapNotice(gap));
}
