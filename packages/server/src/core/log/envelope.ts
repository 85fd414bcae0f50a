import { base64Member, jsonMember, textMember, writeEnvelope } from '@everywire/protocol';
import { shapeOf } from './media.ts';
import type { Message } from './message.ts';

/** The message as JSON text without raw line breaks. `open` is put behind the first brace. */
export function envelopeJson(message: Message, open = ''): string {
  return writeEnvelope(message, payloadMember(message), open);
}

/** Node's Buffer makes text and base64 faster than what browsers have. */
function payloadMember(message: Message): string {
  const shape = shapeOf(message);
  if (shape === 'binary') return base64Member(message.payload.toString('base64'));
  const text = message.payload.toString();
  return shape === 'json' ? jsonMember(text) : textMember(text);
}
