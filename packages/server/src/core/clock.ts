/** The core's only source of time, so that a test can move it and a stepped wall clock harms nothing. */
export interface Clock {
  /** Milliseconds since 1970, for stamping messages and for dates given by people. It may step; nothing is ordered by it. */
  nowMs(): number;
  /** Milliseconds that only ever grow, for durations. */
  monotonicMs(): number;
  /** Calls `run` once after `delayMs`. */
  after(delayMs: number, run: () => void): Timer;
  /** Calls `run` at the end of the current turn of the event loop, after the I/O that is ready has been handled. */
  turn(run: () => void): void;
}

export interface Timer {
  cancel(): void;
}

/** The core's only source of chance. */
export interface Random {
  /** `count` random bytes as lower-case hex. */
  hex(count: number): string;
}
