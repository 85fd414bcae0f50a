import { adapterLimits } from './options.ts';

/** The server refused a publish for good, or the adapter cannot keep it until the server answers. */
export class PublishRefused extends Error {
  override readonly name = 'PublishRefused';
}

interface Pending {
  /** The whole command. Each time it is sent it has the same bytes, with the same publish id. */
  readonly frame: string;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Publishes that the server has not answered yet, in their order. */
export class PendingPublishes {
  readonly #pending = new Map<number, Pending>();
  #bytes = 0;
  #nextId = 1;
  #whenEmpty: (() => void)[] = [];

  /** @throws PublishRefused when the bounds are reached */
  add(encode: (id: number) => string): { readonly frame: string; readonly stored: Promise<void> } {
    const id = this.#nextId;
    const frame = encode(id);
    const { pendingMax, pendingBytesMax } = adapterLimits;
    if (this.#pending.size >= pendingMax || this.#bytes + frame.length > pendingBytesMax)
      throw new PublishRefused('Too many publishes are waiting for the Everywire server.');
    this.#nextId += 1;
    this.#bytes += frame.length;
    const stored = new Promise<void>((resolve, reject) => {
      this.#pending.set(id, { frame, resolve, reject });
    });
    return { frame, stored };
  }

  get frames(): readonly string[] {
    return [...this.#pending.values()].map(({ frame }) => frame);
  }

  frameOf(id: number): string | undefined {
    return this.#pending.get(id)?.frame;
  }

  /** The server answered. */
  settle(id: number, error?: Error): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#bytes -= pending.frame.length;
    if (error === undefined) pending.resolve();
    else pending.reject(error);
    if (this.#pending.size === 0) for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }

  /**
   * A frame over the server's limit ends the connection without an answer. Sent again, it would end every connection. The
   * largest frame is certainly over the limit.
   */
  refuseLargest(): void {
    let largest: number | undefined;
    for (const [id, { frame }] of this.#pending) {
      if (largest === undefined || frame.length > this.frameOf(largest)!.length) largest = id;
    }
    if (largest !== undefined)
      this.settle(
        largest,
        new PublishRefused('too_large: The message exceeds the size limit of the server.'),
      );
  }

  refuseAll(error: Error): void {
    for (const id of [...this.#pending.keys()]) this.settle(id, error);
  }

  /** Resolves when every publish is answered. */
  async whenEmpty(): Promise<void> {
    if (this.#pending.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
  }
}
