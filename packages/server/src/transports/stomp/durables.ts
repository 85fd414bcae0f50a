import type { Identity } from '../../core/sessions/access.ts';
import { DurableSessions } from '../../core/durable/durable-sessions.ts';
import type { DurableHolder, DurableKind, DurableSession } from '../../core/durable/kind.ts';
import { checkProgress, type SubscriptionProgress } from '../../core/durable/progress.ts';
import type { DurableRow } from '../../core/durable/row.ts';
import type { Progress, Subscription } from '../../core/seams/subscription-api.ts';
import type { StompHost, StompLimits } from './limits.ts';

/** The owner of a durable subscription. A client id counts only together with its subject (T10). */
export interface DurableOwner {
  readonly subject: string | undefined;
  readonly clientId: string;
}

/** A durable subscription that a connection has taken. */
export interface TakenDurable {
  readonly holder: Durable;
  /** The stored progress of a subscription that resumes. */
  readonly found: { readonly filter: string; readonly progress: Progress } | undefined;
}

/**
 * The durable subscriptions of all clients: each is a durable session with one subscription and no further state. While
 * its client is away, the server queues and writes nothing for it.
 */
export class Durables {
  readonly #sessions: DurableSessions<null>;
  readonly #keepMs: number;

  constructor({ hub, limits }: StompHost) {
    this.#sessions = new DurableSessions(durableKind(limits), hub.durable);
    this.#keepMs = limits.stompDurableIdleMs;
  }

  static keyOf({ subject, clientId }: DurableOwner, name: string): string {
    return [subject ?? '', clientId, name].map(encodeURIComponent).join('/');
  }

  /** Lists the stored subscriptions, and deletes those that have expired. */
  async start(): Promise<void> {
    await this.#sessions.start();
  }

  /** Resolves when all positions are saved. */
  async stop(): Promise<void> {
    await this.#sessions.stop();
  }

  /**
   * Takes it from its present owner. The server keeps it from `Durable.follow` on.
   * @param onLost ends the connection: another one has taken the subscription
   * @throws EverywireError `quota_exceeded`: the limit of that subject, or of all subjects, is reached
   */
  async take(key: string, filter: string, identity: Identity, onLost: () => void): Promise<TakenDurable> {
    const holder = new Durable(filter, onLost);
    const { session, found } = await this.#sessions.open(key, holder, { identity, keepMs: this.#keepMs });
    holder.session = session;
    return { holder, found: found?.subscriptions[0] };
  }

  /** Deletes it at the request of its client, while no connection of this client uses it. */
  async remove(key: string): Promise<void> {
    await this.#sessions.remove(key);
  }
}

/** One durable subscription, while a connection has it. */
export class Durable implements DurableHolder {
  session!: DurableSession;
  readonly #filter: string;
  readonly #onLost: () => void;
  #subscription: Subscription | undefined;

  constructor(filter: string, onLost: () => void) {
    this.#filter = filter;
    this.#onLost = onLost;
  }

  get key(): string {
    return this.session.key;
  }

  /** Stores the position of `subscription` from here on; resolves after the first write. */
  async follow(subscription: Subscription): Promise<void> {
    this.#subscription = subscription;
    await this.session.save();
  }

  /** Its position moved. Acknowledgements of the last moment before a crash are lost, so those messages come again, marked. */
  touch(): void {
    this.session.saveSoon();
  }

  /** The client has gone. Call it before the subscription is cancelled. */
  leave(): void {
    void this.session.leave({ soon: true });
  }

  subscriptions(): readonly SubscriptionProgress[] {
    return [{ id: '', filter: this.#filter, progress: this.#subscription!.progress }];
  }

  state(): null {
    return null;
  }

  lost(): undefined {
    this.#onLost();
  }
}

export function durableKind(limits: StompLimits): DurableKind<null> {
  return {
    what: 'durable subscriptions',
    table: 'stomp-subscriptions',
    keepMs: limits.stompDurableIdleMs,
    readState: () => null,
    earlier: readEarlierRow,
    quota: {
      policy: 'refuse',
      max: limits.stompDurablesMax,
      perSubjectMax: limits.stompDurablesPerSubjectMax,
    },
  };
}

/** Version 0.1 wrote rows without a format. `undefined`: it is not such a row either. */
function readEarlierRow(value: Buffer, key: string): DurableRow | undefined {
  const row = JSON.parse(value.toString()) as Readonly<Record<string, unknown>>;
  const { filter, cursor, ahead, through, isOpen, timeMs } = row;
  const progress = checkProgress({ cursor, acksAboveWatermark: ahead, deliveredWatermark: through });
  if (typeof filter !== 'string' || typeof timeMs !== 'number' || progress === undefined) return undefined;
  return {
    node: undefined,
    presence: isOpen === true ? 'open' : 'away',
    sinceMs: timeMs,
    keepMs: undefined,
    subject: subjectOf(key),
    rights: undefined,
    maybeDeliveredThroughSeq: 0,
    subscriptions: [{ id: '', filter, progress }],
    state: null,
  };
}

/** The subject in a key of `Durables.keyOf`. */
function subjectOf(key: string): string | undefined {
  const subject = decodeURIComponent(key.slice(0, key.indexOf('/')));
  return subject === '' ? undefined : subject;
}
