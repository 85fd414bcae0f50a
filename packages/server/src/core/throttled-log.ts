import type { Clock } from './clock.ts';
import type { Log } from './seams/log.ts';

const everyMs = 10_000;

/** A log for what peers can cause: each text at most once in ten seconds, with the number of times it was suppressed. */
export class ThrottledLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #said = new Map<string, { atMs: number; kept: number }>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `text` is one of a few constants in the code. */
  info(fields: object, text: string): void {
    const nowMs = this.#clock.monotonicMs();
    const said = this.#said.get(text);
    if (said !== undefined && nowMs - said.atMs < everyMs) {
      said.kept += 1;
      return;
    }
    this.#said.set(text, { atMs: nowMs, kept: 0 });
    this.#log.info(
      said === undefined || said.kept === 0 ? fields : { ...fields, sinceLast: said.kept },
      text,
    );
  }
}
