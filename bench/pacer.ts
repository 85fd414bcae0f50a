/** What a paced publisher did. */
export interface PaceReport {
  readonly sent: number;
  /** Messages that were due while the publisher was further behind than it may catch up at once. */
  readonly skipped: number;
}

// A publisher that catches up without bound starves its own event loop when the server it lives in is saturated.
const catchUpMs = 20;

/**
 * Calls `send` at a steady rate from a timer of about one millisecond, several times a tick when the rate asks for it.
 * `send` returns false to refuse: that message counts as skipped.
 */
export class Pacer {
  readonly #send: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #sent = 0;
  #skipped = 0;

  constructor(send: () => boolean) {
    this.#send = send;
  }

  start(ratePerSecond: number): void {
    this.stop();
    this.#sent = 0;
    this.#skipped = 0;
    const startedMs = performance.now();
    const catchUpMax = Math.max(1, Math.ceil((ratePerSecond * catchUpMs) / 1_000));
    const tick = (): void => {
      const due = Math.floor(((performance.now() - startedMs) * ratePerSecond) / 1_000);
      const missing = due - this.#sent - this.#skipped;
      const now = Math.min(missing, catchUpMax);
      this.#skipped += missing - now;
      for (let i = 0; i < now; i++) {
        if (this.#send()) this.#sent++;
        else this.#skipped++;
      }
      this.#timer = setTimeout(tick, 1);
    };
    tick();
  }

  stop(): PaceReport {
    clearTimeout(this.#timer);
    return { sent: this.#sent, skipped: this.#skipped };
  }
}
