import type { EverywireError } from '@everywire/protocol';
import type { WireFormat } from '../core/log/batch.ts';
import type { Gap } from '../core/seams/store.ts';

/** The bytes of one kind of endless response. Pure; each transport's `format.ts` makes its own. */
export interface StreamWire {
  /** `Content-Type` of the answer. */
  readonly contentType: string;
  readonly format: (isEnveloped: boolean) => WireFormat;
  /** The first bytes: the reader's cursor, and the time before a reconnect. */
  begin(start: { readonly cursor: string; readonly retryMs: number; readonly isPassing: boolean }): string;
  gap(gap: Gap): string;
  /** Against silence. */
  heartbeat(): string;
  /** In place of a heartbeat: a reader that is up to date moves to this cursor. */
  position(cursor: string): string;
  goodbye(retryAfterMs: number): string;
  failure(error: EverywireError): string;
}
