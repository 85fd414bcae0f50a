import type { Clock } from '../../core/clock.ts';
import type { PartsLimits } from './limits.ts';

/** Where the commands of one connection come from: its link, its peer, or the requests of a call. */
export interface RequestFlow {
  /** No command is to come until `resume`. Those that were read already may still come. */
  pause(): void;
  resume(): void;
}

/**
 * Paces the commands of one connection. They run at the same time and are answered one by one, as long as they are few and
 * small: a client that has too much unanswered is not read from until half of it is done. So memory stays bounded however
 * slow the store is, and reading does not stop and go with every single command. Some commands run by themselves.
 */
export class CommandPacer {
  readonly #flow: RequestFlow;
  readonly #limits: PartsLimits;
  #commands = 0;
  #bytes = 0;
  #isFull = false;
  /** Commands that run by themselves, and delays. */
  #holds = 0;
  #isDelayed = false;
  #waiting: (() => void)[] | undefined;

  constructor(flow: RequestFlow, limits: PartsLimits) {
    this.#flow = flow;
    this.#limits = limits;
  }

  /** Everything is answered. */
  get isIdle(): boolean {
    return this.#commands === 0;
  }

  /** No command is to be taken now, also none that was read already. */
  get isBlocked(): boolean {
    return this.#isFull || this.#holds > 0;
  }

  /** A command begins, which holds `bytes` until it is answered. */
  begin(bytes = 0): void {
    this.#commands += 1;
    this.#bytes += bytes;
    const { commandsInFlightMax, commandsInFlightBytesMax } = this.#limits;
    if (this.#isFull) return;
    if (this.#commands < commandsInFlightMax && this.#bytes < commandsInFlightBytesMax) return;
    if (!this.isBlocked) this.#flow.pause();
    this.#isFull = true;
  }

  /** It is answered, or so many are; `bytes` as when they began. */
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

  /** Takes no command until `work` is done. */
  async holdDuring(work: Promise<void>): Promise<void> {
    this.hold();
    try {
      await work;
    } finally {
      this.release();
    }
  }

  /** Runs `command` when all before it are answered, and takes none behind it until it is done. */
  async alone(command: () => Promise<void>): Promise<void> {
    this.hold();
    try {
      await new Promise<void>((resolve, reject) => this.whenIdle(() => void command().then(resolve, reject)));
    } finally {
      this.release();
    }
  }

  /** Takes no command until `waitMs` gives 0. For peers whose protocol cannot refuse a command and continue. */
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

  /** Takes no command until `release`, which is called as often. */
  hold(): void {
    if (!this.isBlocked) this.#flow.pause();
    this.#holds += 1;
  }

  release(): void {
    this.#holds -= 1;
    this.#resume();
  }

  /** Calls `then` when everything is answered: now, or in the moment in which it is. The first to ask comes first. */
  whenIdle(then: () => void): void {
    if (this.isIdle && this.#waiting === undefined) then();
    else this.#waiting = [...(this.#waiting ?? []), then];
  }

  #resume(): void {
    if (!this.isBlocked) this.#flow.resume();
  }
}
