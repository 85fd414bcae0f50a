import type { Limits } from './limits.ts';

/**
 * What one connection has asked for and was not answered yet, in commands and in bytes. Whoever has enough under way is
 * not read from until half of it is done: memory stays bounded however slow the store is, and reading does not stop and
 * go with every single command.
 */
export class InFlightCommands {
  #commands = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#commands === 0;
  }

  /** A command begins that holds `bytes` until it is done. */
  begin(bytes: number): void {
    this.#commands += 1;
    this.#bytes += bytes;
  }

  /** It is done; `bytes` as when it began. */
  end(bytes: number): void {
    this.#commands -= 1;
    this.#bytes -= bytes;
  }

  /** Nothing more is to be read. */
  isFull(limits: InFlightLimits): boolean {
    return this.#commands >= limits.commandsInFlightMax || this.#bytes >= limits.commandsInFlightBytesMax;
  }

  /** Reading may go on, if it was stopped. */
  hasRoom(limits: InFlightLimits): boolean {
    return (
      this.#commands * 2 <= limits.commandsInFlightMax && this.#bytes * 2 <= limits.commandsInFlightBytesMax
    );
  }
}

/** Passed in at each question, since an object per connection costs each of them, also the idle ones. */
export type InFlightLimits = Pick<Limits, 'commandsInFlightMax' | 'commandsInFlightBytesMax'>;
