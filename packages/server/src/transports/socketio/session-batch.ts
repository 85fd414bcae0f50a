import type { Batch } from '../../core/log/batch.ts';
import type { EncodedBatch } from './engine/handlers.ts';
import type { Deliveries } from './format.ts';

/** A batch that waits for a poll, or goes out by WebSocket: encoded for whichever it is, once for all sessions. */
export class SessionBatch implements EncodedBatch {
  readonly sender: object;
  readonly #batch: Batch;
  readonly #deliveries: Deliveries;

  constructor(sender: object, batch: Batch, deliveries: Deliveries) {
    this.sender = sender;
    this.#batch = batch;
    this.#deliveries = deliveries;
  }

  bytes(kind: 'polling' | 'websocket'): Buffer {
    return this.#batch.as(this.#deliveries[kind]).bytes;
  }
}
