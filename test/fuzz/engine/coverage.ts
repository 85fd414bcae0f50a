/** Room for the branches of every module of the project at once, several times over. */
export const branchesMax = 1 << 16;
/** Ranges in which the count of a branch is taken for the same: 1, 2, 3, 4–7, 8–15, 16–31, 32–127, 128 and more. */
const bucketBits = 3;
const bucketOf = makeBuckets();

/**
 * Which branches an input takes, and about how often. A branch together with its range of counts is a *feature*: an
 * input is worth keeping when it shows a feature that none did before it.
 */
export class Coverage {
  /** Branches in the modules that were loaded. */
  readonly branches: number;
  /** What those modules compare with: keywords, magic numbers. */
  readonly literals: ReadonlySet<string | number>;
  /** How many inputs have shown each feature. */
  readonly frequency: Uint32Array;
  /** The last input that showed each feature, by its number. */
  readonly lastSeenAt: Uint32Array;
  readonly #counters: Uint8Array;
  readonly #words: Uint32Array;
  #inputs = 0;

  /** `counters` is what the modules count in: `branchesMax` of them. */
  constructor(counters: Uint8Array, branches: number, literals: ReadonlySet<string | number>) {
    this.branches = branches;
    this.literals = literals;
    this.#counters = counters;
    this.#words = new Uint32Array(counters.buffer);
    this.frequency = new Uint32Array(branches << bucketBits);
    this.lastSeenAt = new Uint32Array(branches << bucketBits);
    this.clear();
  }

  /** Forgets what was counted since the last `take`. */
  clear(): void {
    this.#counters.fill(0);
  }

  /** After an input: calls `found` with each feature that is new, and clears. Returns the input's number, from 1. */
  take(found: (feature: number) => void): number {
    const words = this.#words;
    const counters = this.#counters;
    const { frequency, lastSeenAt } = this;
    const input = (this.#inputs += 1);
    const end = (this.branches + 3) >> 2;
    for (let word = 0; word < end; word += 1) {
      if (words[word] === 0) continue;
      for (let at = word << 2; at < (word << 2) + 4; at += 1) {
        const count = counters[at]!;
        if (count === 0) continue;
        const feature = (at << bucketBits) | bucketOf[count]!;
        lastSeenAt[feature] = input;
        if (frequency[feature]!++ === 0) found(feature);
      }
      words[word] = 0;
    }
    return input;
  }

  /** Branches that were taken by any input. */
  branchesTaken(): number {
    let taken = 0;
    for (let at = 0; at < this.branches; at += 1) {
      const from = at << bucketBits;
      if (this.frequency.subarray(from, from + (1 << bucketBits)).some((count) => count > 0)) taken += 1;
    }
    return taken;
  }
}

function makeBuckets(): Uint8Array {
  const buckets = new Uint8Array(256);
  for (let count = 1; count < 256; count += 1) {
    buckets[count] =
      count <= 3 ? count - 1 : count < 8 ? 3 : count < 16 ? 4 : count < 32 ? 5 : count < 128 ? 6 : 7;
  }
  return buckets;
}
