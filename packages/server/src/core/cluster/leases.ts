interface Holding {
  readonly token: string;
  readonly lost: AbortController;
}

/** What a holder is told of a lease that was taken. */
export interface TakenLease {
  readonly token: string;
  readonly lost: AbortSignal;
}

/**
 * The leases of a store with one process. They are in memory only: they end with the process, and the name of the start
 * is in each token, so no token is ever given out again.
 */
export class Leases {
  readonly #start: string;
  readonly #holdings = new Map<string, Holding>();
  #given = 0;

  /** @param start a name that no other start of a process has */
  constructor(start: string) {
    this.#start = start;
  }

  tokenOf(name: string): string | undefined {
    return this.#holdings.get(name)?.token;
  }

  /** What one commit changes. It is visible to that commit alone, until `apply`. */
  begin(): LeaseChanges {
    return new LeaseChanges(this.#holdings, () => `${this.#start}.${(this.#given += 1)}`);
  }

  /** The commit is durable. Tells holders whose lease it gave to somebody else. */
  apply({ changes }: LeaseChanges): void {
    for (const [name, holding] of changes) {
      const former = this.#holdings.get(name);
      if (holding === undefined) {
        this.#holdings.delete(name);
        continue;
      }
      this.#holdings.set(name, holding);
      former?.lost.abort();
    }
  }
}

export class LeaseChanges {
  /** In order: a lease may change hands twice within one commit. */
  readonly changes: (readonly [name: string, holding: Holding | undefined])[] = [];
  readonly #committed: ReadonlyMap<string, Holding>;
  readonly #nextToken: () => string;
  readonly #pending = new Map<string, Holding | undefined>();

  constructor(committed: ReadonlyMap<string, Holding>, nextToken: () => string) {
    this.#committed = committed;
    this.#nextToken = nextToken;
  }

  tokenOf(name: string): string | undefined {
    const holding = this.#pending.has(name) ? this.#pending.get(name) : this.#committed.get(name);
    return holding?.token;
  }

  take(name: string, takesOver: boolean): TakenLease | undefined {
    if (!takesOver && this.tokenOf(name) !== undefined) return undefined;
    const lost = new AbortController();
    const token = this.#nextToken();
    this.#set(name, { token, lost });
    return { token, lost: lost.signal };
  }

  /** Does nothing when the lease has another token by now. */
  release(name: string, token: string): void {
    if (this.tokenOf(name) === token) this.#set(name, undefined);
  }

  #set(name: string, holding: Holding | undefined): void {
    this.#pending.set(name, holding);
    this.changes.push([name, holding]);
  }
}
