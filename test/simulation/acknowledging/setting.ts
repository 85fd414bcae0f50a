import type { Message } from '../../../packages/server/src/core/log/message.ts';
import type { Chance } from '../chance.ts';
import type { SharedLog } from '../shared-log.ts';
import type { VirtualTime } from '../virtual-time.ts';

/** What everyone in one run shares. */
export interface Setting {
  readonly chance: Chance;
  readonly time: VirtualTime;
  readonly log: SharedLog;
  readonly problems: string[];
  /** When servers were killed, in virtual time. */
  readonly killsMs: number[];
  /** When the store refused to write rows, in virtual time. */
  readonly refusalsMs: number[];
  /** The head at the newest opening of the store. */
  openedAtSeq: number;
  /** No more faults: everyone acks everything at once. */
  isCalm: boolean;
}

/** May not have been delivered before its time was over. */
export function mayExpire({ expiresAtMs }: Message): boolean {
  return expiresAtMs !== undefined;
}
