import { hash } from 'node:crypto';
import type { Identity } from '../../core/sessions/access.ts';
import { DurableSessions } from '../../core/durable/durable-sessions.ts';
import type { Commit, DurableKind, Found, ParkedSession, Recovered } from '../../core/durable/kind.ts';
import { readEarlierSession, readEarlierWindow } from './earlier-rows.ts';
import type { DurableRow } from '../../core/durable/row.ts';
import type { MqttHost, MqttLimits } from './limits.ts';
import { OpenSession, SessionHolder, type OpenRequest } from './open-session.ts';
import {
  encodeSession,
  readSession,
  readWindow,
  restore,
  tables,
  type StoredSession,
  type StoredWindow,
} from './rows.ts';
import { publishWill } from './wills.ts';
import type { Will } from '@everywire/wires/mqtt';

/** How a session is closed. */
export interface Closing {
  /** The server drains: its clients will come back after the restart. */
  readonly isDrain?: boolean;
}

/** A session, as an administrator sees it. */
export interface ListedSession {
  readonly id: string;
  readonly client: string;
  readonly subject?: string;
  readonly open: boolean;
  /** When its row was written: for one that is away, when its client left. */
  readonly saved: string;
  readonly expires?: string;
  readonly subscriptions: readonly string[];
  readonly will: boolean;
}

export interface SessionList {
  readonly sessions: readonly ListedSession[];
  readonly next: string | undefined;
}

/** The remains of an ended session. */
interface Remains extends StoredSession {
  readonly identity: Identity;
}

/**
 * The sessions of the broker: opened, taken over, left, expired, and their wills. At any moment the rows contain all that a
 * restart needs to continue.
 */
export class Sessions {
  readonly #host: MqttHost;
  readonly #durables: DurableSessions<StoredSession, StoredWindow>;
  /** Stored sessions by the group (`$share/<group>/<filter>`) that waits for them. */
  readonly #groups = new Map<string, number>();

  constructor(host: MqttHost) {
    this.#host = host;
    const kind: DurableKind<StoredSession, StoredWindow> = {
      ...sessionKind(host.limits),
      found: (recovered) => this.#found(recovered),
      due: (parked) => this.#due(parked),
    };
    this.#durables = new DurableSessions(kind, host.hub.durable);
  }

  /** Sessions that outlive their connections, or whose wills do. */
  get stored(): number {
    return this.#durables.stored;
  }

  /** A page of the sessions that are kept, as they were saved last. */
  async list(after: string | undefined, limit: number): Promise<SessionList> {
    const { sessions, next } = await this.#durables.list(after, limit);
    return {
      sessions: sessions.map(({ key, row, state }) => ({
        ...describe(key, row, state),
        open: this.#durables.isOpen(key),
      })),
      next,
    };
  }

  /** Ends a session for an administrator: its client is sent away, its will published. False: there is no such session. */
  endSession(id: string): Promise<boolean> {
    return this.#durables.end(id);
  }

  /** Reads the rows of earlier processes. */
  async start(): Promise<void> {
    await this.#durables.start();
  }

  /** Resolves when all closed sessions are saved. */
  async stop(): Promise<void> {
    await this.#durables.stop();
  }

  /**
   * Opens the session of a client: the one it left, or a new one. When this resolves, everything that the CONNACK will say
   * about the session is durable.
   * @throws EverywireError `quota_exceeded`, `session_taken`, `store_unavailable`
   */
  async open(request: OpenRequest): Promise<{ readonly session: OpenSession; readonly isPresent: boolean }> {
    const session = new OpenSession(request);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    session.opening = promise;
    try {
      return { session, isPresent: await this.#open(session, request) };
    } finally {
      session.opening = undefined;
      resolve(undefined);
    }
  }

  /** Called when the connection is gone and the store has answered all its publishes. */
  close(session: OpenSession, closing: Closing = {}): Promise<void> {
    return (session.closing ??= this.#close(session, closing));
  }

  /** A group waits for a session that is kept. */
  holdGroup(name: string): void {
    this.#groups.set(name, (this.#groups.get(name) ?? 0) + 1);
  }

  /** When the last of them releases it, the group loses its position. */
  releaseGroup(name: string): void {
    const held = (this.#groups.get(name) ?? 1) - 1;
    if (held > 0) {
      this.#groups.set(name, held);
      return;
    }
    this.#groups.delete(name);
    this.#host.hub.forgetGroup(name);
  }

  async #open(
    session: OpenSession,
    { connection, identity, clientId, cleanStart }: OpenRequest,
  ): Promise<boolean> {
    const { keepMs, isKept } = session;
    const holder = new SessionHolder(session, connection, this);
    const { session: durable, found } = await this.#durables.open(sessionKey(identity, clientId), holder, {
      identity,
      keepMs,
      keeps: isKept,
      // A client that wants no session is refused for none.
      isFree: !session.isPersistent,
    });
    session.durable = durable;
    const isPresent = found !== undefined && !cleanStart;
    let isThere = found !== undefined;
    try {
      if (found !== undefined && cleanStart) {
        // The earlier session ends here, and with it the delay of its will (§3.1.2.5).
        await durable.clear(this.#ending(remainsOf(found)));
        isThere = false;
      } else if (found !== undefined) {
        restore(session.state, found);
        session.holdsGroups = true;
      }
      if (isKept) await durable.save(isPresent ? 'row' : 'all');
      // The earlier session was kept, but the new one ends with this connection.
      else if (isPresent) await durable.clear();
    } catch (cause) {
      if (isThere) await durable.leave();
      else durable.removeSoon();
      throw cause;
    }
    return isPresent;
  }

  async #close(session: OpenSession, { isDrain = false }: Closing): Promise<void> {
    try {
      if (session.isPersistent) await this.#leave(session, isDrain);
      else await this.#end(session);
    } catch (cause) {
      this.#host.log.error(
        { err: cause },
        'an MQTT session could not be saved; its earlier state stays stored',
      );
    }
  }

  async #leave(session: OpenSession, isDrain: boolean): Promise<void> {
    const { will, durable } = session;
    const { identity } = durable;
    const delayMs = will && delayOf(will, session.keepMs);
    if (will === undefined || isDrain || delayMs !== 0) {
      await durable.leave({ isDrain, wakeMs: isDrain ? undefined : delayMs });
      return;
    }
    session.will = undefined;
    await durable.leave({}, (save) => publishWill(this.#host, identity, will, save));
  }

  async #end(session: OpenSession): Promise<void> {
    const { durable, stored } = session;
    const end = this.#ending({ ...stored, identity: durable.identity });
    if (!session.isKept) {
      // It has no rows in the store.
      void durable.leave();
      await end({ records: [], fences: [] });
      return;
    }
    try {
      await durable.remove(end);
    } catch (cause) {
      // It has expired, so its end is tried again until it succeeds.
      await durable.leave({ soon: true });
      throw cause;
    }
  }

  /** Only its will is left, if it has one. */
  #ending({ will, identity, subscriptions }: Remains): Commit {
    return async (save) => {
      const { records, fences } = save;
      if (will !== undefined) await publishWill(this.#host, identity, will, save);
      else if (records.length > 0) await this.#host.records.write(records, { fences });
      for (const name of groupsOf(subscriptions)) this.releaseGroup(name);
    };
  }

  #found({ row, state, agoMs }: Recovered<StoredSession>): number | undefined {
    for (const name of groupsOf(state.subscriptions)) this.holdGroup(name);
    if (state.will === undefined) return undefined;
    const delayMs = delayOf(state.will, row.keepMs);
    if (row.presence !== 'drained') return Math.max(0, delayMs - agoMs);
    // The server itself closed this client, so the client gets time to come back before its will is published.
    return Math.max(delayMs, 2 * this.#host.limits.retryAfterMs);
  }

  async #due({ found, isExpired, remove, keep }: ParkedSession<StoredSession, StoredWindow>): Promise<void> {
    const remains = remainsOf(found);
    if (isExpired) {
      await remove(this.#ending(remains));
      return;
    }
    const { identity, will } = remains;
    if (will === undefined) return;
    const state = encodeSession({ ...found.state, will: undefined });
    await keep({ state, rights: undefined }, (save) => publishWill(this.#host, identity, will, save));
  }
}

export function sessionKind(limits: MqttLimits): DurableKind<StoredSession, StoredWindow> {
  return {
    what: 'MQTT sessions',
    table: tables.session,
    windowTable: tables.window,
    partsTable: tables.received,
    readState: readSession,
    readWindow,
    earlier: readEarlierSession,
    earlierWindow: readEarlierWindow,
    // For rows of earlier versions, whose sessions never expired.
    keepMsDefault: limits.mqttSessionIdleMs,
    quota: {
      policy: 'refuse',
      max: limits.sessionsMax,
      perSubjectMax: limits.sessionsPerSubjectMax,
      makesRoom: true,
    },
  };
}

function describe(id: string, row: DurableRow, state: StoredSession): Omit<ListedSession, 'open'> {
  const { subject, sinceMs, keepMs } = row;
  const isAway = row.presence !== 'open';
  return {
    id,
    client: state.clientId,
    ...(subject === undefined ? {} : { subject }),
    saved: new Date(sinceMs).toISOString(),
    ...(isAway && keepMs !== undefined ? { expires: new Date(sinceMs + keepMs).toISOString() } : {}),
    subscriptions: state.subscriptions.map(({ filter }) => filter),
    will: state.will !== undefined,
  };
}

/** The same client id of another subject is another session (T10). Hashed, since ids may be 64 KiB. */
function sessionKey(identity: Identity, clientId: string): string {
  return hash('sha256', JSON.stringify([identity.subject ?? null, clientId]), 'base64url');
}

/** The remains of a stored session. The rights of its owner are checked when its will is published. */
function remainsOf({ subject, rights, state }: Found<StoredSession, StoredWindow>): Remains {
  return { ...state, identity: { subject, isAdmin: rights?.isAdmin ?? false, claims: rights?.claims } };
}

/** The session's end is the end of the delay (§3.1.3.2.2). */
function delayOf({ properties }: Will, keepMs = Number.POSITIVE_INFINITY): number {
  return Math.min((properties.willDelayIntervalSeconds ?? 0) * 1_000, keepMs);
}

function groupsOf(subscriptions: StoredSession['subscriptions']): string[] {
  return subscriptions.flatMap(({ target }) => (target.isShared ? [target.filter] : []));
}
