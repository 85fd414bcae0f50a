interface Node<T> {
  readonly seq: number;
  readonly value: T;
  older: Node<T> | undefined;
  newer: Node<T> | undefined;
}

/**
 * Messages that are delivered and not acknowledged, by seq, in the order of delivery, which differs from the order of
 * seq after a redelivery. Each step costs as much as it takes out: a Map alone would walk over all deleted entries at
 * its front to find the oldest.
 */
export class InFlight<T> {
  readonly #nodes = new Map<number, Node<T>>();
  #newest: Node<T> | undefined;

  get size(): number {
    return this.#nodes.size;
  }

  has(seq: number): boolean {
    return this.#nodes.has(seq);
  }

  /** As the newest delivery. */
  add(seq: number, value: T): void {
    this.take(seq);
    const node: Node<T> = { seq, value, older: this.#newest, newer: undefined };
    if (this.#newest !== undefined) this.#newest.newer = node;
    this.#newest = node;
    this.#nodes.set(seq, node);
  }

  /** Takes one out. */
  take(seq: number): T | undefined {
    const node = this.#nodes.get(seq);
    if (node === undefined) return undefined;
    this.#nodes.delete(seq);
    if (node.newer === undefined) this.#newest = node.older;
    else node.newer.older = node.older;
    if (node.older !== undefined) node.older.newer = node.newer;
    return node.value;
  }

  /** Takes out that delivery and all before it, newest first. Nothing when it is not in flight. */
  takeThrough(seq: number): T[] {
    return this.#takeFrom(this.#nodes.get(seq));
  }

  /** Takes out everything, newest first. */
  takeAll(): T[] {
    return this.#takeFrom(this.#newest);
  }

  #takeFrom(from: Node<T> | undefined): T[] {
    const taken: T[] = [];
    for (let node = from; node !== undefined; node = node.older) {
      taken.push(node.value);
      this.take(node.seq);
    }
    return taken;
  }
}
