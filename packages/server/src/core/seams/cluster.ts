/**
 * The nodes that share one store, and which of them may act for what. A node is one start of a process with listeners.
 *
 * A lease decides which node may act. A fence makes that safe: every write on behalf of a lease carries its token, and
 * the store refuses the write, within its own transaction, once another holder has the lease. So a holder that was
 * stopped for minutes, or that does not know of its loss yet, can change nothing.
 */
export interface Cluster {
  /** This node: a name that no other start of a process has. */
  readonly node: string;
  /** All nodes that run, this one included. */
  nodes(): Promise<readonly NodeInfo[]>;
  /**
   * Takes the lease `name`; `undefined` while a node holds it, this node included. With `takeOver` it takes the lease
   * in any case, and the former holder's token is invalid from then on. When it resolves, every write that the former
   * holder's token allowed can be read.
   */
  lease(name: string, options?: LeaseOptions): Promise<Lease | undefined>;
  /** The store's clock, which all nodes share, in milliseconds since 1970. */
  nowMs(): Promise<number>;
}

export interface NodeInfo {
  readonly node: string;
}

export interface LeaseOptions {
  readonly takeOver?: boolean;
}

/** The right to act for `name`, until it is released, taken over, or its node has ended. */
export interface Lease {
  readonly name: string;
  /** Goes with each write, as a `Fence`. No two leases ever have the same token; tokens have no order. */
  readonly token: string;
  /** Aborts when another holder took the lease. It may come late, so only a fence makes a write safe. */
  readonly lost: AbortSignal;
  /**
   * Releases the lease; does nothing when it was lost already. Rejects when the store failed: then the lease is still
   * held.
   */
  release(): Promise<void>;
}
