/** Release sizes instead of those of every submission; they take what they take. */
const isLong = process.env['EVERYWIRE_LONG'] === '1';

export interface RoundsOptions {
  /** As many as a campaign runs where the machine does them in its time. */
  readonly wanted: number;
  /** As many as it runs on any machine, or it would prove nothing. */
  readonly least: number;
  readonly budgetMs: number;
}

/**
 * How many rounds a campaign runs. The first rounds measure the machine: where a flush or a start takes ten times as long
 * as elsewhere, the budget ends the campaign earlier, and its time-out is left for what hangs. Says the size it ran.
 */
export class Rounds {
  readonly #options: RoundsOptions;
  #startedMs: number | undefined;
  #started = 0;

  constructor(options: RoundsOptions) {
    this.#options = options;
  }

  /** That many, however long they take. */
  static exactly(count: number): Rounds {
    return new Rounds({ wanted: count, least: count, budgetMs: Number.POSITIVE_INFINITY });
  }

  /** How many have started. */
  get count(): number {
    return this.#started;
  }

  get wanted(): number {
    return this.#options.wanted;
  }

  /** Whether one more round begins; it counts from then on. */
  begin(): boolean {
    const { wanted, least } = this.#options;
    if (this.#started >= wanted || (this.#started >= least && this.isOverTime)) return false;
    this.#started += 1;
    return true;
  }

  /** The time of the campaign is up. It runs from the first look at it. */
  get isOverTime(): boolean {
    this.#startedMs ??= performance.now();
    return performance.now() - this.#startedMs > this.#options.budgetMs;
  }

  /** For the log of the run. */
  toString(): string {
    const tookMs = performance.now() - (this.#startedMs ?? performance.now());
    return `${this.#started} of ${this.#options.wanted} rounds in ${Math.round(tookMs)} ms`;
  }
}

/** The rounds of a campaign: all of `ci` within the time, or at least a quarter of them; for a release, `release`. */
export function roundsOf(sizes: {
  readonly ci: number;
  readonly release: number;
  readonly budgetMs?: number;
}): Rounds {
  if (isLong) return Rounds.exactly(sizes.release);
  return new Rounds({ wanted: sizes.ci, least: Math.ceil(sizes.ci / 4), budgetMs: sizes.budgetMs ?? 20_000 });
}
