/** Keys in order, cheap to add to: new keys are sorted in when the order is next read. */
export class SortedKeys {
  readonly #compare: (a: string, b: string) => number;
  #sorted: string[] = [];
  readonly #added = new Set<string>();
  readonly #removed = new Set<string>();

  constructor(compare: (a: string, b: string) => number) {
    this.#compare = compare;
  }

  /** `key` must not be there. */
  add(key: string): void {
    if (!this.#removed.delete(key)) this.#added.add(key);
  }

  /** `key` must be there. */
  remove(key: string): void {
    if (!this.#added.delete(key)) this.#removed.add(key);
  }

  /** All keys, in order. */
  all(): readonly string[] {
    if (this.#removed.size > 0) {
      this.#sorted = this.#sorted.filter((key) => !this.#removed.has(key));
      this.#removed.clear();
    }
    if (this.#added.size > 0) {
      const added = [...this.#added].sort(this.#compare);
      this.#added.clear();
      this.#sorted = this.#merge(this.#sorted, added);
    }
    return this.#sorted;
  }

  /** The index in `all()` of the first key above `after`. */
  above(after: string | undefined): number {
    return after === undefined ? 0 : this.#firstIndex((key) => this.#compare(key, after) > 0);
  }

  /** The index in `all()` of the first key that is `from` or above it. */
  notBelow(from: string): number {
    return this.#firstIndex((key) => this.#compare(key, from) >= 0);
  }

  #firstIndex(isReached: (key: string) => boolean): number {
    const keys = this.all();
    let low = 0;
    let high = keys.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isReached(keys[middle]!)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #merge(left: readonly string[], right: readonly string[]): string[] {
    const merged: string[] = [];
    let l = 0;
    let r = 0;
    while (l < left.length && r < right.length) {
      merged.push(this.#compare(left[l]!, right[r]!) <= 0 ? left[l++]! : right[r++]!);
    }
    while (l < left.length) merged.push(left[l++]!);
    while (r < right.length) merged.push(right[r++]!);
    return merged;
  }
}

/** By UTF-16 code unit, as JavaScript compares. */
export function compareCodeUnits(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By byte of UTF-8, as a file of keys is ordered. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
