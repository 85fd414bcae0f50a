import type { SeededRandom } from './random.ts';

/** Inputs worth changing: each showed a feature that none before it did. */
export class Corpus {
  readonly inputs: Buffer[] = [];
  /** The input that showed a feature first. */
  readonly #ownerOf = new Map<number, number>();
  readonly #features: number[] = [];
  bytes = 0;

  add(input: Buffer, features: readonly number[]): void {
    for (const feature of features) {
      this.#ownerOf.set(feature, this.inputs.length);
      this.#features.push(feature);
    }
    this.bytes += input.length;
    // A copy in separate memory: a small buffer is a part of a larger one, which would stay in memory too.
    const kept = Buffer.alloc(input.length);
    input.copy(kept);
    this.inputs.push(kept);
  }

  /** Half of the time any input, otherwise the one of a feature that few inputs have shown: where least is known. */
  pick(random: SeededRandom, frequency: Uint32Array): Buffer {
    if (this.#features.length === 0 || random.oneIn(2)) return random.pick(this.inputs);
    let rarest = random.pick(this.#features);
    for (let tries = 0; tries < 4; tries += 1) {
      const feature = random.pick(this.#features);
      if (frequency[feature]! < frequency[rarest]!) rarest = feature;
    }
    return this.inputs[this.#ownerOf.get(rarest)!]!;
  }
}
