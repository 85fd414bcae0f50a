/** How fast something may happen: `perSecond` for long, `burst` at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/**
 * A bucket of tokens that fills by time. A batch is granted or refused as a whole: with any token left it is granted,
 * and the debt is filled first, so a batch may be larger than the burst.
 */
export class Bucket {
  readonly #rate: Rate;
  #level: number;
  #atMs: number;
  /** Requests since then, granted or not. */
  #asked = 0;
  #askedFromMs: number;
  #askedPerSecondBefore = 0;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#level = rate.burst;
    this.#atMs = nowMs;
    this.#askedFromMs = nowMs;
  }

  /** The recent rate of `take`, granted or not. */
  get observedPerSecond(): number {
    return Math.round(Math.max(this.#askedPerSecondBefore, this.#askedPerSecond()));
  }

  /** 0: taken. Otherwise nothing was, and so many milliseconds pass until something can be. */
  take(count: number, nowMs: number): number {
    this.#fill(nowMs);
    if (nowMs - this.#askedFromMs >= 1_000) {
      this.#askedPerSecondBefore = this.#askedPerSecond();
      this.#asked = 0;
      this.#askedFromMs = nowMs;
    }
    this.#asked += count;
    const waitMs = this.#missingMs();
    if (waitMs === 0) this.#level -= count;
    return waitMs;
  }

  /** As `take` would answer, without taking. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs);
    return this.#missingMs();
  }

  /** It can be forgotten: a new bucket is as full. */
  isFull(nowMs: number): boolean {
    this.#fill(nowMs);
    return this.#level >= this.#rate.burst;
  }

  #askedPerSecond(): number {
    return this.#asked / Math.max(1, (this.#atMs - this.#askedFromMs) / 1_000);
  }

  #missingMs(): number {
    // Sums of fractions fall short of one by less than this.
    if (this.#level >= 1 - 1e-6) return 0;
    return Math.max(1, Math.ceil(((1 - this.#level) / this.#rate.perSecond) * 1_000));
  }

  #fill(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#level = Math.min(this.#rate.burst, this.#level + (passedMs / 1_000) * this.#rate.perSecond);
  }
}

/** Buckets by key; those that are full again are forgotten by `sweep`, so what is kept is bounded by what happens. */
export class Buckets<K> {
  readonly #rate: Rate;
  readonly #buckets = new Map<K, Bucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** The bucket to take from. */
  of(key: K, nowMs: number): Bucket {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) this.#buckets.set(key, (bucket = new Bucket(this.#rate, nowMs)));
    return bucket;
  }

  waitMs(key: K, nowMs: number): number {
    return this.#buckets.get(key)?.waitMs(nowMs) ?? 0;
  }

  sweep(nowMs: number): void {
    for (const [key, bucket] of this.#buckets) if (bucket.isFull(nowMs)) this.#buckets.delete(key);
  }
}
