import type { EverywireError } from '@everywire/protocol';
import type { Batch } from '../../core/log/batch.ts';
import type { Gap } from '../../core/seams/store.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';

/** The end of a long poll's wait. */
export type Arrival =
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'gap'; readonly gap: Gap }
  | { readonly kind: 'refused'; readonly error: EverywireError }
  /** The wait timed out, the node drains, or the peer has gone. */
  | { readonly kind: 'nothing' };

/** The sink of a long poll: the first thing that arrives is the answer. */
export class Waiting implements Sink {
  readonly arrival: Promise<Arrival>;
  #settle: (arrival: Arrival) => void = () => undefined;

  constructor() {
    this.arrival = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Ends the wait without a message. */
  giveUp(): void {
    this.#settle({ kind: 'nothing' });
  }

  deliver(batch: Batch): boolean {
    this.#settle({ kind: 'batch', batch });
    // One batch is one answer; with several filters the rest is read from the log.
    return false;
  }

  notify(notice: Notice): void {
    if (notice.kind === 'gap') this.#settle({ kind: 'gap', gap: notice.gap });
    else if (notice.kind === 'goaway') this.giveUp();
    else if (notice.error !== undefined) this.#settle({ kind: 'refused', error: notice.error });
  }

  close({ error }: CloseReason): void {
    this.#settle({ kind: 'refused', error });
  }
}
