/** The received and not yet taken items of a connection, and its end. For one reader. */
export class Queue<T> {
  #items: T[] = [];
  #wake: (() => void) | undefined;
  #ended: Error | undefined;

  push(item: T): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** The reader still gets all received items, then this error. The first reason counts. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, never, undefined> {
    for (;;) {
      while (this.#items.length > 0) {
        const items = this.#items;
        this.#items = [];
        yield* items;
      }
      // There must be no `await` between the check above and the promise below: a push in between would not wake the
      // reader.
      if (this.#ended !== undefined) throw this.#ended;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }
}
