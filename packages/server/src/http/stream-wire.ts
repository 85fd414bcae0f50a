import type { EverywireError } from '@everywire/protocol';
import type { WireFormat } from '../core/log/batch.ts';
import type { Gap } from '../core/seams/store.ts';

/** The bytes of one kind of endless response. Pure; each transport's `format.ts` makes its own. */
export interface StreamWire {
  /** `Content-Type` of the answer. */
  readonly contentType: string;
  readonly format: (isEnveloped: boolean) => WireFormat;
  /** The first bytes: the reader's cursor, and when to come back. */
  begin(start: { readonly cursor: string; readonly retryMs: number }): string;
  gap(gap: Gap): string;
  /** Against silence. `cursor`: a reader that is up to date may move there; absent while it is not. */
  heartbeat(cursor: string | undefined): string;
  goodbye(retryAfterMs: number): string;
  failure(error: EverywireError): string;
}
