import type { Hub } from '../../packages/server/src/core/hub.ts';
import type { HistoryChecker } from '../faults/checker/checker.ts';
import type { Chance } from './chance.ts';
import type { HostileStore } from './hostile-store.ts';
import type { SharedLog } from './shared-log.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface Node {
  readonly hub: Hub;
  /** `undefined` where the node has the memory store to itself. */
  readonly front: HostileStore | undefined;
}

/** What everyone in one simulated run shares. */
export interface World {
  readonly chance: Chance;
  readonly time: VirtualTime;
  readonly log: SharedLog;
  readonly checker: HistoryChecker;
  readonly nodes: readonly Node[];
  readonly channels: readonly string[];
  /** Channels that are deleted now and then. Nothing is published to them twice: a publish id dies with its channel. */
  readonly mortalChannels: readonly string[];
  readonly filters: readonly string[];
  /** The log knows the place of every message there was, so every gap has its range. */
  readonly remembersAll: boolean;
  /** What the rules of histories have no word for. */
  readonly problems: string[];
  /** The faults have stopped: peers read and ack everything at once. */
  isCalm: boolean;
}
