/** What has come over a connection and is not taken yet, and how it ended. For one reader. */
export class Arrivals<T> {
  #items: T[] = [];
  #wake: (() => void) | undefined;
  #ended: Error | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** What has come is still handed out; the reader is then told why there is no more. The first reason counts. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, never, undefined> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (items.length > 0) continue;
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}
