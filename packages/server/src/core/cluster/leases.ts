/** A lease that was taken. */
export class TakenLease {
  readonly token: string;
  /** Made on first use: each open durable session has a lease, and on a single node the core never listens. */
  #controller: AbortController | undefined;
  #isLost = false;

  constructor(token: string) {
    this.token = token;
  }

  get lost(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isLost) this.#controller.abort();
    return this.#controller.signal;
  }

  lose(): void {
    this.#isLost = true;
    this.#controller?.abort();
  }
}

/**
 * The leases of a store with one process. They are in memory only: they end with the process, and the name of the start
 * is in each token, so a token is never used again.
 */
export class Leases {
  readonly #start: string;
  readonly #holdings = new Map<string, TakenLease>();
  #given = 0;

  /** @param start a name that no other start of a process has */
  constructor(start: string) {
    this.#start = start;
  }

  tokenOf(name: string): string | undefined {
    return this.#holdings.get(name)?.token;
  }

  /** The changes of one commit. Only that commit sees them until `apply`. */
  begin(): LeaseChanges {
    return new LeaseChanges(this.#holdings, () => `${this.#start}.${(this.#given += 1)}`);
  }

  /** The commit is durable. Tells the holders that lost their lease to another one. */
  apply({ changes }: LeaseChanges): void {
    for (const [name, taken] of changes) {
      const former = this.#holdings.get(name);
      if (taken === undefined) {
        this.#holdings.delete(name);
        continue;
      }
      this.#holdings.set(name, taken);
      former?.lose();
    }
  }
}

export class LeaseChanges {
  /** In order: a lease may change hands twice within one commit. */
  readonly changes: (readonly [name: string, taken: TakenLease | undefined])[] = [];
  readonly #committed: ReadonlyMap<string, TakenLease>;
  readonly #nextToken: () => string;
  readonly #pending = new Map<string, TakenLease | undefined>();

  constructor(committed: ReadonlyMap<string, TakenLease>, nextToken: () => string) {
    this.#committed = committed;
    this.#nextToken = nextToken;
  }

  tokenOf(name: string): string | undefined {
    const taken = this.#pending.has(name) ? this.#pending.get(name) : this.#committed.get(name);
    return taken?.token;
  }

  take(name: string, takesOver: boolean): TakenLease | undefined {
    if (!takesOver && this.tokenOf(name) !== undefined) return undefined;
    const taken = new TakenLease(this.#nextToken());
    this.#set(name, taken);
    return taken;
  }

  /** Does nothing when the lease has another token by now. */
  release(name: string, token: string): void {
    if (this.tokenOf(name) === token) this.#set(name, undefined);
  }

  #set(name: string, taken: TakenLease | undefined): void {
    this.#pending.set(name, taken);
    this.changes.push([name, taken]);
  }
}
