import type { Clock } from '../clock.ts';
import type { Cluster } from '../seams/cluster.ts';
import type { RecordStore } from '../seams/store.ts';
import type { Log } from '../seams/log.ts';
import { Saver } from './saver.ts';

/** What all kinds of durable sessions share: one store, one save loop. */
export interface DurableServices {
  readonly records: RecordStore;
  readonly cluster: Cluster;
  /**
   * Other nodes use the same store: it may have sessions that this node does not know, and other nodes may take
   * sessions over. A node that is alone does not have to ask.
   */
  readonly isShared: boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly saver: Saver;
  /** No message above this seq can have been delivered. */
  readonly headSeq: () => number;
  /** How many sessions there are of each kind, by what they are: of those with a quota that refuses. */
  readonly counts: Map<string, () => number>;
}

export function createDurableServices(parts: Omit<DurableServices, 'saver' | 'counts'>): DurableServices {
  return { ...parts, saver: new Saver(parts), counts: new Map() };
}
