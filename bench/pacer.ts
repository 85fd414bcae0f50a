/** What a paced publisher did. */
export interface PaceReport {
  readonly sent: number;
  /** Messages that were due while the publisher was further behind than it may catch up. */
  readonly skipped: number;
}

// A publisher that catches up without bound starves its own event loop when the server it lives in is saturated.
const catchUpMs = 20;

/**
 * Calls `send` at a steady rate, each message in a separate turn of the event loop: a server's publishers come one by
 * one too, and twenty messages in one turn would give Node's write buffering an advantage that it never has in use.
 * `send` returns false to refuse: that message counts as skipped.
 */
export class Pacer {
  readonly #send: () => boolean;
  #isRunning = false;
  #sent = 0;
  #skipped = 0;
  #startedMs = 0;
  #ratePerSecond = 0;

  constructor(send: () => boolean) {
    this.#send = send;
  }

  start(ratePerSecond: number): void {
    this.#ratePerSecond = ratePerSecond;
    this.#sent = 0;
    this.#skipped = 0;
    this.#startedMs = performance.now();
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#turn();
  }

  stop(): PaceReport {
    this.#isRunning = false;
    return { sent: this.#sent, skipped: this.#skipped };
  }

  #turn(): void {
    if (!this.#isRunning) return;
    const due = Math.floor(((performance.now() - this.#startedMs) * this.#ratePerSecond) / 1_000);
    const missing = due - this.#sent - this.#skipped;
    const catchUpMax = Math.max(1, Math.ceil((this.#ratePerSecond * catchUpMs) / 1_000));
    if (missing > catchUpMax) this.#skipped += missing - catchUpMax;
    if (missing > 0) {
      if (this.#send()) this.#sent++;
      else this.#skipped++;
    }
    if (missing > 1) setImmediate(() => this.#turn());
    else setTimeout(() => this.#turn(), 1);
  }
}
