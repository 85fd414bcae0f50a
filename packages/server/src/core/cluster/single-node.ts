import type { Cluster, Lease } from '../seams/cluster.ts';
import type { Clock } from '../clock.ts';
import type { LeaseChanges, TakenLease } from './leases.ts';

export interface SingleNodeOptions {
  readonly node: string;
  readonly clock: Clock;
  /** Runs `work` in the store's next commit, and resolves when that commit is durable and can be read. */
  readonly commit: <T>(work: (leases: LeaseChanges) => T) => Promise<T>;
}

/** The cluster of a store that one process has for itself: its leases are free unless this process holds them. */
export function createSingleNode({ node, clock, commit }: SingleNodeOptions): Cluster {
  return {
    node,
    nodes: async () => [{ node }],
    nowMs: async () => clock.nowMs(),
    lease: async (name, { takeOver = false } = {}): Promise<Lease | undefined> => {
      const taken = await commit((leases) => leases.take(name, takeOver));
      return taken && new NodeLease(name, taken, commit);
    },
  };
}

/** A class, since each open session has one: an object literal with a getter takes 600 bytes more. */
class NodeLease implements Lease {
  readonly name: string;
  readonly #taken: TakenLease;
  readonly #commit: SingleNodeOptions['commit'];

  constructor(name: string, taken: TakenLease, commit: SingleNodeOptions['commit']) {
    this.name = name;
    this.#taken = taken;
    this.#commit = commit;
  }

  get token(): string {
    return this.#taken.token;
  }

  get lost(): AbortSignal {
    return this.#taken.lost;
  }

  release(): Promise<void> {
    return this.#commit((leases) => leases.release(this.name, this.token));
  }
}
