import type { Identity } from '../../core/sessions/access.ts';
import type { DurableHolder, DurableSession } from '../../core/durable/kind.ts';
import type { SubscriptionProgress } from '../../core/durable/progress.ts';
import type { PublishOptions } from '../../core/seams/session-api.ts';
import type { RecordStore } from '../../core/seams/store.ts';
import {
  encodeSession,
  progressOf,
  subscriptionsOf,
  windowOf,
  type StoredSession,
  type StoredWindow,
} from './rows.ts';
import { SessionState } from './state.ts';
import type { Will } from '@everywire/wires/mqtt';

/** MQTT 5 §3.1.2.11.2. */
export const neverExpires = 0xffffffff;

/** The request of a CONNECT for its session. */
export interface OpenRequest {
  readonly connection: SessionConnection;
  readonly clientId: string;
  readonly identity: Identity;
  readonly cleanStart: boolean;
  readonly expirySeconds: number;
  readonly will: Will | undefined;
}

/** The connection that has a session open. */
export interface SessionConnection {
  /** Another connection has the session, so this one ends. Resolves when the store has answered all its publishes. */
  takenOver(why: 'taken' | 'removed' | 'stale'): Promise<void>;
}

/** A session that a connection has open. */
export class OpenSession {
  readonly clientId: string;
  readonly state = new SessionState();
  /** It has rows: it outlives its connection, or its will does. */
  readonly isKept: boolean;
  /** It outlived, or was to outlive, its connection at some time, so its groups are kept with it. */
  holdsGroups: boolean;
  /** DISCONNECT removes it [MQTT-3.14.4-3]. */
  will: Will | undefined;
  durable!: DurableSession;
  /** While a CONNECT opens it: resolves when the CONNECT has succeeded or failed. */
  opening: Promise<void> | undefined;
  /** Once its end has started. */
  closing: Promise<void> | undefined;
  #expirySeconds: number;

  constructor({ clientId, expirySeconds, will }: OpenRequest) {
    this.clientId = clientId;
    this.will = will;
    this.isKept = expirySeconds > 0 || will !== undefined;
    this.holdsGroups = expirySeconds > 0;
    this.#expirySeconds = expirySeconds;
  }

  /** It outlives its connection, so the server stores the client's requests before it answers them. */
  get isPersistent(): boolean {
    return this.#expirySeconds > 0;
  }

  /** How long it is kept after its connection has gone; `undefined`: until it is ended. */
  get keepMs(): number | undefined {
    return this.#expirySeconds === neverExpires ? undefined : this.#expirySeconds * 1_000;
  }

  /** The content of its row. If it holds no groups, it never outlives a connection, so the row needs no subscriptions. */
  get stored(): StoredSession {
    const subscriptions = this.holdsGroups ? subscriptionsOf(this.state) : [];
    return { clientId: this.clientId, will: this.will, subscriptions };
  }

  /** DISCONNECT may change it (§3.14.2.2.2). */
  expireAfter(seconds: number): void {
    this.#expirySeconds = seconds;
    this.durable.keepMs = this.keepMs;
  }

  /** Stores the session: its subscriptions and their progress. */
  async save(): Promise<void> {
    if (this.isPersistent) await this.durable.save();
  }

  /** Stores the window soon. */
  saveSoon(): void {
    this.durable.saveSoon();
  }

  /** Resolves when the present window is durable. */
  saveWindow(): Promise<void> {
    return this.durable.save('window');
  }

  /** Resolves when the will is removed from the store. */
  async withdrawWill(): Promise<void> {
    this.will = undefined;
    await this.durable.save('row');
  }

  /** The client has a new token: the will is checked against it, and removed if it is not allowed. */
  async refreshed(identity: Identity): Promise<void> {
    this.durable.identity = identity;
    if (this.isPersistent) await this.durable.save();
    else if (this.will !== undefined) await this.durable.save('row');
  }

  /**
   * Options for the transaction of a QoS 2 message, which also stores that its packet id waits for a PUBREL.
   * @throws EverywireError `session_taken`
   */
  receiving(packetId: number): Pick<PublishOptions, 'records' | 'fences'> {
    const { durable } = this;
    return { records: [durable.partWrite(String(packetId), present)], fences: durable.fences };
  }

  /** Removes packet ids that no longer wait for a PUBREL, also from the store. */
  async release(packetIds: readonly number[], records: RecordStore): Promise<void> {
    const { durable } = this;
    const writes = packetIds.map((packetId) => durable.partWrite(String(packetId), undefined));
    await records.write(writes, { fences: durable.fences });
  }
}

const present = Buffer.from([1]);

/** The face of an open session for `core/durable`. */
export class SessionHolder implements DurableHolder {
  readonly #session: OpenSession;
  readonly #connection: SessionConnection;
  readonly #sessions: { close(session: OpenSession): Promise<void> };

  constructor(
    session: OpenSession,
    connection: SessionConnection,
    sessions: { close(session: OpenSession): Promise<void> },
  ) {
    this.#session = session;
    this.#connection = connection;
    this.#sessions = sessions;
  }

  subscriptions(): readonly SubscriptionProgress[] {
    return progressOf(this.#session.state);
  }

  state(): object {
    return encodeSession(this.#session.stored);
  }

  window(): StoredWindow {
    return windowOf(this.#session.state);
  }

  /** The rights for the check of the will. A session without a will stores no rights. */
  rights(): Pick<Identity, 'isAdmin' | 'claims'> | undefined {
    const { will, durable } = this.#session;
    if (will === undefined) return undefined;
    const { isAdmin, claims } = durable.identity;
    return { isAdmin, claims };
  }

  lost(why: 'taken' | 'removed' | 'stale'): undefined | Promise<void> {
    if (why !== 'stale') return this.#leave(why);
    void this.#connection.takenOver('stale');
    return undefined;
  }

  /** Another CONNECT waits for the session, or an administrator. */
  async #leave(why: 'taken' | 'removed'): Promise<void> {
    await this.#session.opening;
    if (!this.#session.durable.isOpen) return;
    await this.#connection.takenOver(why);
    await this.#sessions.close(this.#session);
  }
}
