import type { Envelope, GapNotice } from '../envelope.ts';
import type { Refusal } from '../errors.ts';

/** The items of an endless response, one after the other. */
export type StreamItem =
  | { readonly kind: 'message'; readonly cursor: string; readonly envelope: Envelope }
  /** The reader has everything up to this cursor. `retryMs`: the wait after a cut. */
  | { readonly kind: 'position'; readonly cursor: string; readonly retryMs?: number }
  | { readonly kind: 'gap'; readonly notice: GapNotice }
  /** The server ends the stream: it is stopping. */
  | { readonly kind: 'goaway'; readonly retryAfterMs: number }
  /** The server ends the stream: it refuses to continue. */
  | { readonly kind: 'failure'; readonly refusal: Refusal }
  | { readonly kind: 'heartbeat' }
  /** Bytes that no Everywire server sends. */
  | { readonly kind: 'fault'; readonly detail: string };

/** `JSON.parse`, or `parseExactly` for readers that forward payloads. @throws SyntaxError */
export type ParseJson = (text: string) => unknown;

/** Calls `parse`; text that is not JSON is a fault. */
export function parseItem(text: string, parse: ParseJson): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return notJson;
    throw error;
  }
}

/** The result of `parseItem` for text that is not JSON; no JSON value equals it. */
export const notJson = Symbol('not JSON');
