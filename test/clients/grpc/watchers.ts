/** How long a test waits for an event that must come. */
const patienceMs = 10_000;

/** Waits until a condition on the received data holds. */
export class Watchers {
  readonly #looks = new Set<() => void>();

  /** Call after each arrival: all conditions are checked again. */
  look(): void {
    for (const look of this.#looks) look();
  }

  /** @param describe the last arrivals, for the error after the time-out */
  async until(isSo: () => boolean, describe: () => unknown): Promise<void> {
    if (isSo()) return;
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const timer = setTimeout(
      () => reject(new Error(`waited in vain; last: ${JSON.stringify(describe())}`)),
      patienceMs,
    );
    const look = (): void => {
      if (isSo()) resolve(undefined);
    };
    this.#looks.add(look);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#looks.delete(look);
    }
  }
}
