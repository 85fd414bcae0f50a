import type { Batch } from '../../core/log/batch.ts';
import { shapeOf } from '../../core/log/media.ts';
import { pollPacketsMax } from './engine/engine-socket.ts';
import type { EncodedBatch } from './engine/handlers.ts';
import type { Deliveries } from './format.ts';

/** The session that sends it. */
export interface BatchSender {
  /** The answer to a poll contains a piece of a batch, which moves the peer to the cursor `place`. */
  pieceTaken(place: string): void;
}

/** A batch that waits for a poll, or is sent by WebSocket: encoded for either, once for all sessions. */
export class SessionBatch implements EncodedBatch {
  readonly sender: BatchSender;
  readonly packetsMax: number;
  readonly #batch: Batch;
  readonly #deliveries: Deliveries;
  readonly #movesPlace: boolean;

  private constructor(sender: BatchSender, batch: Batch, deliveries: Deliveries, movesPlace: boolean) {
    this.sender = sender;
    this.#batch = batch;
    this.#deliveries = deliveries;
    this.#movesPlace = movesPlace;
    this.packetsMax = batch.messages.length * packetsEach(batch);
  }

  /** The batch in pieces. Each piece fits into the answer to one poll, together with one packet of the session itself. */
  static piecesOf(
    sender: BatchSender,
    batch: Batch,
    deliveries: Deliveries,
    movesPlace: boolean,
  ): readonly SessionBatch[] {
    const pieces: SessionBatch[] = [];
    const most = Math.floor((pollPacketsMax - 1) / packetsEach(batch));
    for (let rest: Batch | undefined = batch; rest !== undefined;) {
      const piece: Batch = rest.first(most);
      pieces.push(new SessionBatch(sender, piece, deliveries, movesPlace));
      rest = batch.since(piece.lastSeq);
    }
    return pieces;
  }

  bytes(kind: 'polling' | 'websocket'): Buffer {
    return this.#batch.as(this.#deliveries[kind]).bytes;
  }

  taken(): void {
    if (this.#movesPlace) this.sender.pieceTaken(this.#batch.messages.at(-1)!.cursor);
  }
}

/** Binary data is a second packet besides its event. A small batch fits in any case, so its messages are not checked. */
function packetsEach({ messages }: Batch): 1 | 2 {
  if (messages.length * 2 < pollPacketsMax) return 2;
  return messages.some((message) => shapeOf(message) === 'binary') ? 2 : 1;
}
