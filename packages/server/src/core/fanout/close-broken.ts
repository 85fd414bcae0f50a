import { EverywireError } from '@everywire/protocol';
import type { Log } from '../seams/log.ts';
import type { SubscriptionHost } from './subscription.ts';

/** The subscription for which a sink was called when it threw. */
interface BrokenSubscription {
  readonly filter: string;
  readonly host: SubscriptionHost;
  cancel(): void;
}

/** A sink that throws is a fault in a transport. It costs one peer its connection; the peer can return with its cursor. */
export function closeBroken(log: Log): (broken: BrokenSubscription, cause: unknown) => void {
  return (broken, cause) => {
    const { filter, host } = broken;
    log.error({ err: cause, filter }, 'a delivery failed; the connection is closed');
    broken.cancel();
    const detail = 'A delivery failed; come back with the cursor.';
    host.close({ error: new EverywireError('internal', detail, { cause }) });
  };
}
