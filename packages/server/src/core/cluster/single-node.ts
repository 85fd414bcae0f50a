import type { Cluster, Lease } from '../seams/cluster.ts';
import type { Clock } from '../clock.ts';
import type { LeaseChanges } from './leases.ts';

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
      if (taken === undefined) return undefined;
      return {
        name,
        token: taken.token,
        get lost() {
          return taken.lost;
        },
        release: () => commit((leases) => leases.release(name, taken.token)),
      };
    },
  };
}
