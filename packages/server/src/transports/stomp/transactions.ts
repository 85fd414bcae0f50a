import { EverywireError } from '@everywire/protocol';
import type { StompLimits } from './limits.ts';
import type { PublishEntry } from '../../core/seams/session-api.ts';

/** The content of a transaction: COMMIT does all of it or nothing. */
export interface Transaction {
  readonly entries: PublishEntry[];
  /** Acknowledgements, done after the messages are stored. */
  readonly acknowledgements: (() => void)[];
  /** The receipts of its frames, sent after COMMIT. */
  readonly receipts: string[];
  bytes: number;
}

/** The open transactions of one connection. */
export class Transactions {
  readonly #limits: StompLimits;
  readonly #open = new Map<string, Transaction>();
  #bytes = 0;

  constructor(limits: StompLimits) {
    this.#limits = limits;
  }

  begin(name: string): void {
    if (this.#open.has(name))
      throw new EverywireError('conflict', 'A transaction with this name is already open.');
    if (this.#open.size >= this.#limits.stompTransactionsMax) {
      throw new EverywireError(
        'quota_exceeded',
        `A connection has at most ${this.#limits.stompTransactionsMax} open transactions.`,
      );
    }
    this.#open.set(name, { entries: [], acknowledgements: [], receipts: [], bytes: 0 });
  }

  addEntry(name: string, entry: PublishEntry, receipt: string | undefined): void {
    const transaction = this.#find(name);
    const bytes = sizeOf(entry);
    // A transaction always has room for one message, of any allowed size.
    if (this.#bytes > 0 && this.#bytes + bytes > this.#limits.stompTransactionBytesMax) {
      throw new EverywireError(
        'quota_exceeded',
        `The open transactions of a connection hold at most ${this.#limits.stompTransactionBytesMax} bytes.`,
      );
    }
    this.#checkCount(transaction);
    transaction.entries.push(entry);
    if (receipt !== undefined) transaction.receipts.push(receipt);
    transaction.bytes += bytes;
    this.#bytes += bytes;
  }

  addAcknowledgement(name: string, acknowledge: () => void, receipt: string | undefined): void {
    const transaction = this.#find(name);
    this.#checkCount(transaction);
    transaction.acknowledgements.push(acknowledge);
    if (receipt !== undefined) transaction.receipts.push(receipt);
  }

  /** Removes a transaction, for COMMIT or ABORT. @throws EverywireError `not_found` */
  end(name: string): Transaction {
    const transaction = this.#find(name);
    this.#open.delete(name);
    this.#bytes -= transaction.bytes;
    return transaction;
  }

  #find(name: string): Transaction {
    const transaction = this.#open.get(name);
    if (transaction !== undefined) return transaction;
    throw new EverywireError('not_found', 'No transaction with this name is open.');
  }

  #checkCount({ entries, acknowledgements }: Transaction): void {
    if (entries.length + acknowledgements.length < this.#limits.publishBatchMax) return;
    throw new EverywireError(
      'quota_exceeded',
      `A transaction has at most ${this.#limits.publishBatchMax} frames.`,
    );
  }
}

/** The size of payload, name and headers, and the memory of their objects. */
export function sizeOf({ channel, draft }: PublishEntry): number {
  let bytes = 200 + channel.length + draft.payload.length;
  for (const [name, value] of draft.headers ?? []) bytes += name.length + value.length;
  return bytes;
}
