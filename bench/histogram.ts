const bucketsPerOctave = 64;
const exactBelow = 2 * bucketsPerOctave;
const octaves = 26;

export interface LatencySummary {
  readonly samples: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** Counts durations in microseconds, exact below 128 µs and within 1.6 % above, in constant memory. */
export class Histogram {
  readonly #counts = new Uint32Array(exactBelow + octaves * bucketsPerOctave);
  #samples = 0;
  #maxUs = 0;

  add(us: number): void {
    const value = us < 0 ? 0 : us;
    if (value > this.#maxUs) this.#maxUs = value;
    this.#samples++;
    this.#counts[bucketOf(value)]!++;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#samples = 0;
    this.#maxUs = 0;
  }

  /** The value that `share` (0–1) of the samples do not exceed, to the bucket's upper edge; 0 without samples. */
  percentileUs(share: number): number {
    let left = Math.ceil(this.#samples * share);
    if (left === 0) return 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return Math.min(upperEdge(bucket), this.#maxUs);
    }
    return this.#maxUs;
  }

  summary(): LatencySummary {
    return {
      samples: this.#samples,
      p50Us: this.percentileUs(0.5),
      p99Us: this.percentileUs(0.99),
      maxUs: this.#maxUs,
    };
  }
}

function bucketOf(us: number): number {
  const value = Math.floor(us);
  if (value < exactBelow) return value;
  const shift = 31 - Math.clz32(value) - 6;
  return Math.min(
    exactBelow + (shift - 1) * bucketsPerOctave + ((value >> shift) - bucketsPerOctave),
    exactBelow + octaves * bucketsPerOctave - 1,
  );
}

function upperEdge(bucket: number): number {
  if (bucket < exactBelow) return bucket;
  const shift = Math.floor((bucket - exactBelow) / bucketsPerOctave) + 1;
  const within = (bucket - exactBelow) % bucketsPerOctave;
  return ((bucketsPerOctave + within + 1) << shift) - 1;
}
