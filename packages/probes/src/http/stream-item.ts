import type { StreamItem } from '@everywire/protocol/http';
import { Refused, toRefused } from '../errors.ts';
import type { Arrival } from '../session.ts';

/** The arrival for an item of an endless response; `undefined`: the follower needs nothing of it. @throws Refused */
export function toArrival(item: StreamItem): Arrival | undefined {
  switch (item.kind) {
    case 'message':
      return { kind: 'message', cursor: item.cursor, text: JSON.stringify(item.envelope) };
    case 'position':
      return { kind: 'position', cursor: item.cursor };
    case 'gap':
      return { kind: 'gap', cursor: item.notice.cursor, text: JSON.stringify(item.notice) };
    case 'failure':
      throw toRefused(item.refusal);
    case 'fault':
      throw new Refused(`${item.detail} Is this an Everywire server?`);
    // The end of the response follows.
    case 'goaway':
    case 'heartbeat':
      return undefined;
  }
}
