/** The other processes of the application, by their heartbeats. */
export class Peers {
  readonly #heardAtMs = new Map<string, number>();

  heard(uid: string): void {
    this.#heardAtMs.set(uid, Date.now());
  }

  left(uid: string): void {
    this.#heardAtMs.delete(uid);
  }

  forgetSilent(timeoutMs: number): void {
    const oldestMs = Date.now() - timeoutMs;
    for (const [uid, heardAtMs] of this.#heardAtMs) if (heardAtMs < oldestMs) this.left(uid);
  }

  has(uid: string): boolean {
    return this.#heardAtMs.has(uid);
  }

  /** Whether `uid` comes before all of them, so that one process acts for the cluster. */
  areAfter(uid: string): boolean {
    return [...this.#heardAtMs.keys()].every((other) => other >= uid);
  }
}
