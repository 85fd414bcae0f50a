import type { Clock } from '../../core/clock.ts';
import type { PartsLimits } from './limits.ts';

/** The source of the commands of one connection: its link, its peer, or the requests of a call. */
export interface RequestFlow {
  /** Stops the commands until `resume`. Those that were read already may still come. */
  pause(): void;
  resume(): void;
}

/**
 * Paces the commands of one connection. Commands run in parallel, each with its own answer, as long as they are few and
 * small. If a client has too much unanswered, the server stops reading from it until half of that is done. So memory is
 * limited also with a slow store, and reading does not stop and start with every command. Some commands run alone.
 */
export class CommandPacer {
  readonly #flow: RequestFlow;
  readonly #limits: PartsLimits;
  #commands = 0;
  #bytes = 0;
  #isFull = false;
  /** The number of commands that run alone, and of delays. */
  #holds = 0;
  #isDelayed = false;
  #waiting: (() => void)[] | undefined;

  constructor(flow: RequestFlow, limits: PartsLimits) {
    this.#flow = flow;
    this.#limits = limits;
  }

  /** Whether all commands are answered. */
  get isIdle(): boolean {
    return this.#commands === 0;
  }

  /** Whether no command may start now, also none that was read already. */
  get isBlocked(): boolean {
    return this.#isFull || this.#holds > 0;
  }

  /** A command starts, and holds `bytes` until it is answered. */
  begin(bytes = 0): void {
    this.#commands += 1;
    this.#bytes += bytes;
    const { commandsInFlightMax, commandsInFlightBytesMax } = this.#limits;
    if (this.#isFull) return;
    if (this.#commands < commandsInFlightMax && this.#bytes < commandsInFlightBytesMax) return;
    if (!this.isBlocked) this.#flow.pause();
    this.#isFull = true;
  }

  /** One or several commands are answered; `bytes` as at their start. */
  end(bytes = 0, commands = 1): void {
    this.#commands -= commands;
    this.#bytes -= bytes;
    const { commandsInFlightMax, commandsInFlightBytesMax } = this.#limits;
    const isHalf = this.#commands * 2 <= commandsInFlightMax && this.#bytes * 2 <= commandsInFlightBytesMax;
    if (this.#isFull && isHalf) {
      this.#isFull = false;
      this.#resume();
    }
    while (this.isIdle && this.#waiting !== undefined) {
      const [next, ...others] = this.#waiting;
      this.#waiting = others.length === 0 ? undefined : others;
      next!();
    }
  }

  /** Runs a command, which sends its own answer. `refuse` answers a thrown error. */
  async run(command: () => Promise<unknown>, refuse: (caught: unknown) => void, bytes = 0): Promise<void> {
    this.begin(bytes);
    try {
      await command();
    } catch (caught) {
      refuse(caught);
    }
    this.end(bytes);
  }

  /** Starts no command until `work` is done. */
  async holdDuring(work: Promise<void>): Promise<void> {
    this.hold();
    try {
      await work;
    } finally {
      this.release();
    }
  }

  /** Runs `command` when all earlier ones are answered, and starts no later one until it is done. */
  async alone(command: () => Promise<void>): Promise<void> {
    this.hold();
    try {
      await new Promise<void>((resolve, reject) => this.whenIdle(() => void command().then(resolve, reject)));
    } finally {
      this.release();
    }
  }

  /** Starts no command until `waitMs` returns 0. For protocols that cannot refuse a command and continue. */
  holdWhile(waitMs: () => number, clock: Clock): void {
    const ms = waitMs();
    if (ms <= 0 || this.#isDelayed) return;
    this.#isDelayed = true;
    this.hold();
    const look = (): void => {
      // A timer may be early by less than a millisecond.
      const leftMs = waitMs();
      if (leftMs > 0) {
        clock.after(leftMs, look);
        return;
      }
      this.#isDelayed = false;
      this.release();
    };
    clock.after(ms, look);
  }

  /** Starts no command until `release` is called as often as this. */
  hold(): void {
    if (!this.isBlocked) this.#flow.pause();
    this.#holds += 1;
  }

  release(): void {
    this.#holds -= 1;
    this.#resume();
  }

  /** Calls `then` once all commands are answered: now or later. Several callbacks run in the order of the calls. */
  whenIdle(then: () => void): void {
    if (this.isIdle && this.#waiting === undefined) then();
    else this.#waiting = [...(this.#waiting ?? []), then];
  }

  #resume(): void {
    if (!this.isBlocked) this.#flow.resume();
  }
}
