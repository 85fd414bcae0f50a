/** What has arrived and what is awaited, in order. */
export class Inbox<T> {
  readonly #arrived: T[] = [];
  readonly #waiting: { readonly resolve: (item: T) => void; readonly reject: (cause: Error) => void }[] = [];
  #end: Error | undefined;

  push(item: T): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#arrived.push(item);
    else waiting.resolve(item);
  }

  /** No further item comes: rejects all waiting calls with `cause`. */
  end(cause: Error): void {
    this.#end ??= cause;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#end);
  }

  next(): Promise<T> {
    const item = this.#arrived.shift();
    if (item !== undefined) return Promise.resolve(item);
    if (this.#end !== undefined) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }
}
