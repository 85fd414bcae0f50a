import type { Clock, Random } from '../clock.ts';
import type { Limits } from '../limits.ts';
import type { Admission } from '../sessions/admission.ts';
import type { HubFront } from './hub-api.ts';
import type { Log } from './log.ts';
import type { RecordStore } from './store.ts';

/** A way in and out of the hub; one folder each. */
export interface Transport<L extends Limits = Limits> {
  readonly name: string;
  /** Registers routes or listens. Throws an error for the operator when it cannot. */
  start(host: Host<L>): Promise<void>;
  /**
   * Called after the hub has sent `goaway` to every session. Stops accepting, sends away connections that have no session
   * yet, and resolves when all are gone, or when `deadline` aborts and it has cut the rest.
   */
  drain(deadline: AbortSignal): Promise<void>;
  /** Where it listens, once started: lines for the table that the server prints. */
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  readonly transport: string;
  readonly url: string;
  /** A command to try it with. */
  readonly tryIt: string;
}

/** Everything that a transport may use. `L`: the limits it reads, including its own. */
export interface Host<L extends Limits = Limits> {
  readonly hub: HubFront;
  /**
   * Durable rows for the state of protocols. A table belongs to one transport, and its name starts with the transport's
   * name.
   */
  readonly records: RecordStore;
  /** Listeners ask it about every connection. Absent: all are accepted. */
  readonly admission?: Admission | undefined;
  readonly limits: L;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}
