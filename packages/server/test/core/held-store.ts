import type { Hub } from '../../src/core/hub.ts';

/** A store that answers no append until it is released: publishes in flight are counted meanwhile. */
export class HeldStore {
  underWay = 0;
  bytes = 0;
  #release!: () => void;
  #waiting: (() => void)[] = [];

  constructor({ store }: Hub) {
    const append = store.append.bind(store);
    const gone = new Promise<void>((resolve) => (this.#release = resolve));
    store.append = async (entries, options) => {
      this.underWay += entries.length;
      for (const { draft } of entries) this.bytes += draft.payload.length;
      for (const wake of this.#waiting.splice(0)) wake();
      await gone;
      return append(entries, options);
    };
  }

  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    this.#release();
  }
}
